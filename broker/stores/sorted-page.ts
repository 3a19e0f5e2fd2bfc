import { DomainError } from '../domain/errors.ts';
import { compileOrder } from '../domain/query/order.ts';
import type { Order } from '../domain/query/query.ts';
import type { EntityPage, PageRequest, StoredEntity } from '../ports/entity-store.ts';

/**
 * The page of all matches in an order other than that of the id (5.7.2.4).
 * @param found all matches, or one more than `limit`; put in order in place
 * @param limit how many matches such a query may have
 * @throws DomainError TooComplexQuery
 */
export function sortedPage<Row extends StoredEntity>(
  found: Row[],
  order: readonly Order[],
  page: PageRequest,
  limit: number,
): EntityPage {
  if (found.length > limit) {
    throw new DomainError(
      'TooComplexQuery',
      `More than ${limit} entities match, too many to be put in the order asked for: narrow the query down.`,
    );
  }
  const compare = compileOrder(order);
  found.sort((a, b) => compare(a.entity, b.entity));
  const start = page.after === undefined ? (page.offset ?? 0) : found.findIndex(({ id }) => id === page.after) + 1;
  return {
    entities: found.slice(start, start + page.limit),
    more: found.length > start + page.limit,
    ...(page.count ? { count: found.length } : {}),
  };
}
