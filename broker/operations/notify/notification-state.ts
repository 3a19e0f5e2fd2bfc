import type { Iri, TenantId } from '../../domain/iri.ts';
import type { Micros } from '../../domain/time.ts';
import type { DeliveryResult } from '../../ports/notifier.ts';
import type { UnsavedStates } from '../unsaved-states.ts';

/** What became of the notifications of one subscription (5.2.14.2). Changed in place; written to the store every few seconds. */
export interface NotificationState {
  timesSent: number;
  timesFailed: number;
  lastNotification?: Micros;
  lastSuccess?: Micros;
  lastFailure?: Micros;
  status?: 'ok' | 'failed';
}

/** A notification was sent, or was tried to be (5.8.6). */
export function noteAttempt(
  to: { readonly tenant: TenantId; readonly id: Iri; readonly state: NotificationState; readonly unsaved: UnsavedStates },
  result: DeliveryResult,
  now: Micros,
): void {
  const { state } = to;
  state.timesSent++;
  state.lastNotification = now;
  if (result.delivered) {
    state.lastSuccess = now;
    state.status = 'ok';
  } else {
    state.timesFailed++;
    state.lastFailure = now;
    state.status = 'failed';
  }
  to.unsaved.mark(to);
}
