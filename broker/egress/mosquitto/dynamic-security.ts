import { randomBytes } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { type DeviceGate, outsideName } from '../../ports/device-gate.ts';
import { type AccessRule, accessRules, serviceRules } from './access-lists.ts';
import { type Control, type ControlCommand, type ControlResponse, dynamicSecurityControl } from './control.ts';

/** Those who are let in by this broker: their roles carry this in their names, so that others' are never touched. */
const OURS = 'mizar:';
const SERVICE = 'mizar-service';
/** Answers that say that something is as it should be already. */
const HARMLESS = /not found|already exists/i;

export interface DynamicSecurityOptions {
  /** mqtt: or mqtts: with the credentials of an administrator of the plugin. */
  readonly url: string;
  /** Who may connect, by role: identity of a device or hash of a key, and the hash of its secret. */
  admitted(): ReadonlyMap<string, string>;
  /** The plugin is set up; these credentials hold for the broker itself from now on. */
  onReady(credentials: { readonly username: string; readonly password: string }): void;
  onError(error: unknown): void;
  /** Someone who may connect is unknown to the plugin, whose file was lost: a new token is needed. */
  onMissing(names: readonly string[]): void;
}

/**
 * Mosquitto lets in whom the device registry knows: a client and a role for each device with a token, and for each group. Secrets are known in the
 * moment in which they are made and never again, so a device is let in then or not at all.
 */
export interface DynamicSecurity extends DeviceGate {
  close(): Promise<void>;
}

export async function dynamicSecurity(options: DynamicSecurityOptions): Promise<DynamicSecurity> {
  const { admitted, onReady, onError, onMissing } = options;
  const password = randomBytes(24).toString('base64url');
  let ready = false;
  let chain: Promise<unknown> = Promise.resolve();
  const control: Control = await dynamicSecurityControl({
    url: options.url,
    onError,
    onConnect: () => void inTurn(setUp).catch(onError),
  });

  /** What changes the plugin happens one after the other. */
  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const next = chain.then(step, step);
    chain = next.catch(() => {});
    return next;
  }

  /** Denies what is not allowed, makes the broker's own client, and takes back what was revoked while nobody could be told. */
  async function setUp(): Promise<void> {
    await succeed([
      {
        command: 'setDefaultACLAccess',
        acls: [
          { acltype: 'publishClientSend', allow: false },
          { acltype: 'publishClientReceive', allow: false },
          { acltype: 'subscribe', allow: false },
          { acltype: 'unsubscribe', allow: true },
        ],
      },
    ]);
    const [service] = ready ? await control.run([{ command: 'getClient', username: SERVICE }]) : [];
    if (service === undefined || service.error !== undefined) {
      await succeed(letIn(SERVICE, SERVICE, password, 'The context broker', serviceRules()));
    }
    if (!ready) onReady({ username: SERVICE, password });
    ready = true;
    await reconcile();
  }

  async function reconcile(): Promise<void> {
    const [listed] = await control.run([{ command: 'listRoles', verbose: true, count: -1, offset: 0 }]);
    const roles = ((listed?.data?.['roles'] ?? []) as { rolename: string; textdescription?: string }[]).filter(
      ({ rolename }) => rolename.startsWith(OURS) && rolename !== `${OURS}${SERVICE}`,
    );
    const wanted = admitted();
    const stale = roles.filter(
      ({ rolename, textdescription }) => digest(wanted.get(rolename.slice(OURS.length)) ?? '') !== textdescription,
    );
    for (const { rolename } of stale) await succeed(letOut(rolename.slice(OURS.length)));
    const known = new Set(roles.map(({ rolename }) => rolename.slice(OURS.length)));
    const missing = [...wanted.keys()].filter((name) => !known.has(name));
    if (missing.length > 0) onMissing(missing);
  }

  /** @throws Error naming the first command that was refused for a reason that matters */
  async function succeed(commands: readonly ControlCommand[]): Promise<readonly ControlResponse[]> {
    const responses = await control.run(commands);
    const refused = responses.find(({ error }) => error !== undefined && !HARMLESS.test(error));
    if (refused !== undefined) throw new Error(`The MQTT broker refused ${refused.command}: ${refused.error}`);
    return responses;
  }

  async function admit(
    name: string,
    username: string,
    secret: string,
    hash: string,
    rules: readonly AccessRule[],
  ): Promise<void> {
    try {
      await inTurn(() => succeed(letIn(name, username, secret, digest(hash), rules)));
    } catch (error) {
      throw new DomainError(
        'Unavailable',
        `The MQTT broker could not be told to let this device in: ${(error as Error).message}`,
      );
    }
  }

  async function dismiss(name: string): Promise<void> {
    try {
      await inTurn(() => succeed(letOut(name)));
    } catch (error) {
      // With the next connection it is found to be one too many.
      onError(error);
    }
  }

  return {
    admit: ({ known, token, tokenHash, apikey }) =>
      admit(known.identity, outsideName(known.identity), token, tokenHash, accessRules(apikey, token, known.device.device_id)),
    dismiss,
    admitGroup: ({ group, apikey }) =>
      admit(group.keyHash, `key:${group.keyHash.slice(0, 16)}`, apikey, group.keyHash, accessRules(apikey, undefined, '+')),
    dismissGroup: dismiss,
    close: () => control.close(),
  };
}

/** The hash of a secret, short: to see whether the plugin knows the one that holds now. */
const digest = (hash: string): string => hash.slice(0, 16);

/** Client and role made anew, which ends sessions of the client before. */
function letIn(
  name: string,
  username: string,
  password: string,
  textdescription: string,
  acls: readonly AccessRule[],
): readonly ControlCommand[] {
  const rolename = `${OURS}${name}`;
  return [
    { command: 'deleteClient', username },
    { command: 'deleteRole', rolename },
    { command: 'createRole', rolename, textdescription, acls },
    { command: 'createClient', username, password, roles: [{ rolename, priority: 1 }] },
  ];
}

function letOut(name: string): readonly ControlCommand[] {
  const username = /^[0-9a-f]{64}$/.test(name) ? `key:${name.slice(0, 16)}` : outsideName(name);
  return [
    { command: 'deleteClient', username },
    { command: 'deleteRole', rolename: `${OURS}${name}` },
  ];
}
