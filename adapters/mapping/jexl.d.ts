/** The part of jexl 2.3 that is used here; the package brings no types. */
declare module 'jexl' {
  interface JexlExpression {
    evalSync(context: object): unknown;
    _getAst(): JexlNode | null;
  }
  export interface JexlNode {
    type: string;
    [member: string]: unknown;
  }
  class Jexl {
    addTransform(name: string, transform: (...values: never[]) => unknown): void;
    createExpression(text: string): JexlExpression;
  }
  const jexl: { Jexl: typeof Jexl };
  export default jexl;
}
