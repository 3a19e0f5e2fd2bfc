import { badRequest, type DomainError } from '../../errors.ts';
import { limits } from '../../limits.ts';

/** A text that is read from left to right. What it says of errors names the parameter and the position. */
export class Scanner {
  readonly text: string;
  /** The parameter being read: "q", "scopeQ" … */
  readonly what: string;
  at = 0;

  constructor(text: string, what: string) {
    this.text = text;
    this.what = what;
    if (text.length > limits().queryChars) {
      throw badRequest(`${what} has ${text.length} characters, which is more than ${limits().queryChars}`);
    }
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  peek(ahead = 0): string {
    return this.text.charAt(this.at + ahead);
  }

  /** Passes over `token` if it comes next. */
  take(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  /** @throws DomainError if `token` does not come next */
  expect(token: string, why: string): void {
    if (!this.take(token)) throw this.error(`expected '${token}' ${why}`);
  }

  /** What the sticky expression matches here, or undefined; passes over it. */
  match(expression: RegExp): string | undefined {
    expression.lastIndex = this.at;
    const found = expression.exec(this.text);
    if (found === null) return undefined;
    this.at += found[0].length;
    return found[0];
  }

  /** A BadRequestData such as "q: expected a value after '==' at 12"; positions count from 0. */
  error(message: string, at = this.at): DomainError {
    const rest = this.text.slice(at, at + 20);
    return badRequest(
      `${this.what}: ${message} at ${at}${rest === '' ? ', where it ends' : `, before ${JSON.stringify(rest)}`}`,
    );
  }

  /** @throws DomainError if something is left */
  end(): void {
    if (!this.atEnd) throw this.error('unexpected text');
  }
}

/** A name of 4.6.2, with an optional prefix; also letters beyond ASCII. "-" is tolerated inside, because models in use have it. */
export const NAME = /[\p{L}@][\p{L}\p{N}_-]*(?::[\p{L}][\p{L}\p{N}_-]*)?/uy;
