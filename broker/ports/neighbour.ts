/**
 * Another process of the same broker. What travels is data: nothing that is called, and no object that knows what it was made from, except
 * DomainErrors, which arrive as such.
 */
export interface Neighbour {
  /**
   * Calls a method of operations that the neighbour offers under a name.
   * @throws DomainError what the method threw; Unavailable if too many answers are waited for already, or the neighbour is gone: the call may have been carried out then
   */
  call(operations: string, method: string, parameters: readonly unknown[]): Promise<unknown>;
}

/** What a process lets its neighbours call, by name. */
export type Offered = Readonly<Record<string, object>>;
