/** One notification on its way out, rendered. */
export interface OutgoingNotification {
  /** http:, https:, mqtt: or mqtts: */
  readonly uri: string;
  /** Headers of HTTP, or the metadata of the MQTT message (7.2). */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** `notifierInfo` of the subscription (5.2.15): MQTT version and QoS. */
  readonly notifierInfo: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export type DeliveryResult =
  | { readonly delivered: true; readonly status?: number }
  | { readonly delivered: false; readonly reason: string };

/** Delivers one notification. Never throws: what went wrong is a result. */
export interface Notifier {
  deliver(notification: OutgoingNotification): Promise<DeliveryResult>;
  /** Somebody will be notified there: what that needs can be made ready, so that the first notification does not wait for it. */
  prepare?(uri: string): void;
  close(): Promise<void>;
}
