import { badRequest } from '../../errors.ts';
import { GEOMETRY_TYPES, type Geometry, geometryOf, isGeometryType } from '../../geometry.ts';
import type { Context } from '../../jsonld/context.ts';
import { limits } from '../../limits.ts';
import type { Order } from '../query.ts';
import { readCoordinates } from './georel.ts';
import { parsePath } from './path.ts';
import { Scanner } from './scanner.ts';

/** The parameters of an ordering (4.23.3), as they come. */
export interface OrderParameters {
  readonly orderBy?: string | undefined;
  /** Coordinates of the reference geometry, JSON text in a URL. */
  readonly orderFrom?: unknown;
  /** Type of the reference geometry; Point if absent. */
  readonly orderGeometry?: string | undefined;
  readonly collation?: string | undefined;
}

const DIRECTIONS = ['asc', 'desc', 'dist-asc', 'dist-desc'] as const;
const ENTITY_MEMBERS = ['id', 'type', 'createdAt', 'modifiedAt'] as const;

/**
 * Reads `orderBy=name,age;desc`. @returns undefined if no order is asked for
 * @throws DomainError BadRequestData: wrong text, an unknown direction or collation, or an ordering by distance without a place
 */
export function parseOrder(parameters: OrderParameters, context: Context): readonly Order[] | undefined {
  const { orderBy, collation } = parameters;
  if (orderBy === undefined) return undefined;
  const from = orderOrigin(parameters);
  if (collation !== undefined) checkCollation(collation);
  const scanner = new Scanner(orderBy, 'orderBy');
  const orders: Order[] = [];
  do {
    if (orders.length >= limits().orders) throw scanner.error(`more than ${limits().orders} orderings`);
    const start = scanner.at;
    const member = scanner.match(/(?:id|type|createdAt|modifiedAt)(?=$|[;,])/y);
    const by = ENTITY_MEMBERS.find((one) => one === member) ?? parsePath(scanner, context);
    if (typeof by === 'object' && by.linked !== undefined) throw scanner.error('linked entities cannot give an order', start);
    let direction: Order['direction'] = 'asc';
    if (scanner.take(';')) {
      const word = scanner.match(/[a-z-]+/y);
      const found = DIRECTIONS.find((one) => one === word);
      if (found === undefined) throw scanner.error(`expected one of ${DIRECTIONS.join(', ')} after ';'`);
      direction = found;
    }
    if (direction.startsWith('dist') && from === undefined) {
      throw badRequest(`orderBy: ${direction} needs orderFrom, the place that distances are measured from`);
    }
    orders.push({
      by,
      direction,
      ...(from !== undefined && direction.startsWith('dist') ? { from } : {}),
      ...(collation === undefined ? {} : { collation }),
    });
  } while (scanner.take(','));
  scanner.end();
  return orders;
}

function orderOrigin({ orderFrom, orderGeometry = 'Point' }: OrderParameters): Geometry | undefined {
  if (orderFrom === undefined) return undefined;
  if (!isGeometryType(orderGeometry)) {
    throw badRequest(
      `orderGeometry must be one of ${GEOMETRY_TYPES.join(', ')}, not ${JSON.stringify(orderGeometry).slice(0, 80)}`,
    );
  }
  return geometryOf(orderGeometry, readCoordinates(orderFrom, 'orderFrom'), 'orderFrom');
}

/** @throws DomainError BadRequestData if the text is no language tag that ICU could take as a collation (RFC 6067) */
function checkCollation(collation: string): void {
  try {
    Intl.getCanonicalLocales(collation);
  } catch {
    throw badRequest(
      `collation must be an ICU collation such as und or de-u-co-phonebk, not ${JSON.stringify(collation.slice(0, 80))}`,
    );
  }
}
