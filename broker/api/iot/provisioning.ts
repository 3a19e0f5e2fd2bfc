import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { ProvisioningError } from '../../domain/device-document.ts';
import { DEFAULT_TENANT, isTenantName, type TenantId } from '../../domain/iri.ts';
import { isObject, type JsonValue } from '../../domain/json.ts';
import { type Instant, parseInstant } from '../../domain/time.ts';
import type { DeviceOperations, Place } from '../../operations/devices.ts';
import { parameter } from '../http/request.ts';
import { iotErrors } from './errors.ts';

const TAGS = ['Devices'];

/**
 * The provisioning API of FIWARE IoT Agents, with the status codes that deployed agents send: groups (`/iot/groups`, old name `/iot/services`),
 * devices, and what they lack, tokens per device.
 */
export const provisioningRoutes =
  (devices: DeviceOperations, version: string): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);

    for (const [url, key] of [
      ['/iot/groups', 'groups'],
      ['/iot/services', 'services'],
    ] as const) {
      app.post(url, { schema: { summary: 'Create service groups', tags: TAGS } }, async (request, reply) => {
        const body = request.body as JsonValue | undefined;
        await devices.createGroups(placeOf(request), listIn(body, key, 'groups', 'services'));
        return reply.code(201).send({});
      });
      app.get(url, { schema: { summary: 'List service groups', tags: TAGS } }, async (request) => {
        const groups = await devices.listGroups(placeOf(request, true));
        const offset = whole(request, 'offset', 0);
        return { count: groups.length, [key]: groups.slice(offset, offset + whole(request, 'limit', 1000, 1000)) };
      });
      app.put(url, { schema: { summary: 'Update a service group', tags: TAGS } }, async (request, reply) => {
        const { resource, apikey } = groupNamed(request);
        await devices.updateGroup(placeOf(request), resource, apikey, (request.body ?? {}) as JsonValue);
        return reply.code(204).send();
      });
      app.delete(url, { schema: { summary: 'Delete a service group', tags: TAGS } }, async (request, reply) => {
        const { resource, apikey } = groupNamed(request);
        await devices.deleteGroup(placeOf(request), resource, apikey, parameter(request, 'device') === 'true');
        return reply.code(204).send();
      });
    }

    app.post('/iot/devices', { schema: { summary: 'Create devices', tags: TAGS } }, async (request, reply) => {
      const tokens = await devices.createDevices(placeOf(request), listIn(request.body as JsonValue | undefined, 'devices'));
      return reply.code(201).send(tokens.length > 0 ? { devices: tokens } : {});
    });
    app.get('/iot/devices', { schema: { summary: 'List devices', tags: TAGS } }, async (request) => {
      const place = placeOf(request, true);
      const page = await devices.listDevices(place, whole(request, 'limit', 20, 1000), whole(request, 'offset', 0));
      if (parameter(request, 'detailed') !== 'off') return page;
      return { count: page.count, devices: page.devices.map(({ device_id }) => ({ device_id })) };
    });
    app.get('/iot/devices/:id', { schema: { summary: 'Retrieve a device', tags: TAGS } }, async (request) =>
      devices.getDevice(placeOf(request), idOf(request), parameter(request, 'apikey')),
    );
    app.put('/iot/devices/:id', { schema: { summary: 'Update a device', tags: TAGS } }, async (request, reply) => {
      const body = (request.body ?? {}) as JsonValue;
      await devices.updateDevice(placeOf(request), idOf(request), body, parameter(request, 'apikey'));
      return reply.code(204).send();
    });
    app.delete('/iot/devices/:id', { schema: { summary: 'Delete a device', tags: TAGS } }, async (request, reply) => {
      await devices.deleteDevice(placeOf(request), idOf(request), parameter(request, 'apikey'));
      return reply.code(204).send();
    });
    app.post(
      '/iot/devices/:id/token',
      { schema: { summary: 'Issue a new token, shown once', tags: TAGS } },
      async (request, reply) => {
        const issued = await devices.issueToken(
          placeOf(request),
          idOf(request),
          parameter(request, 'apikey'),
          expiryOf(request),
        );
        return reply.code(201).header('cache-control', 'no-store').send(issued);
      },
    );
    app.delete(
      '/iot/devices/:id/token',
      { schema: { summary: 'Revoke the token at once', tags: TAGS } },
      async (request, reply) => {
        await devices.revokeToken(placeOf(request), idOf(request), parameter(request, 'apikey'));
        return reply.code(204).send();
      },
    );

    app.get(
      '/iot/devices/:id/refusals',
      { schema: { summary: 'What the device said lately and was not taken', tags: TAGS } },
      async (request) => {
        const refusals = await devices.listRefusals(placeOf(request), idOf(request), parameter(request, 'apikey'));
        return { count: refusals.length, refusals };
      },
    );
    app.get(
      '/iot/unknown-devices',
      { schema: { summary: 'Devices with a valid key that are not provisioned', tags: TAGS } },
      async (request) => {
        const unknown = await devices.listUnknownDevices(placeOf(request, true));
        return { count: unknown.length, devices: unknown };
      },
    );

    app.post('/iot/op/delete', { schema: { summary: 'Delete several devices', tags: TAGS } }, async (request, reply) => {
      const place = placeOf(request);
      let missing: ProvisioningError | undefined;
      for (const entry of listIn(request.body as JsonValue | undefined, 'devices')) {
        const { deviceId, apikey } = isObject(entry) ? entry : {};
        if (typeof deviceId !== 'string')
          throw new ProvisioningError('WRONG_SYNTAX', 'Every device to delete needs a deviceId');
        try {
          await devices.deleteDevice(place, deviceId, typeof apikey === 'string' ? apikey : undefined);
        } catch (error) {
          if (!(error instanceof ProvisioningError)) throw error;
          missing ??= error;
        }
      }
      // One that is missing does not keep the others.
      if (missing !== undefined) throw missing;
      return reply.code(204).send();
    });

    app.get('/iot/about', { schema: { summary: 'What answers here', tags: TAGS } }, async (request) => ({
      libVersion: version,
      port: String(request.socket.localPort ?? ''),
      baseRoot: '/',
      version,
      broker: 'Mizar',
    }));
  };

/** When the token that is asked for shall end. @throws ProvisioningError WRONG_SYNTAX */
function expiryOf(request: FastifyRequest): Instant | undefined {
  const body = request.body as JsonValue | undefined;
  const text = isObject(body) ? body['expiresAt'] : undefined;
  if (text === undefined) return undefined;
  const expiresAt = parseInstant(text);
  if (expiresAt === undefined) throw new ProvisioningError('WRONG_SYNTAX', 'expiresAt must be a DateTime in UTC');
  return expiresAt;
}

/** Tenant and service path of a request. @throws ProvisioningError MISSING_HEADERS, WRONG_SYNTAX */
export function placeOf(request: FastifyRequest, listing = false): Place {
  const service = request.headers['fiware-service'];
  const path = request.headers['fiware-servicepath'];
  if (typeof service !== 'string' || typeof path !== 'string') {
    throw new ProvisioningError(
      'MISSING_HEADERS',
      'Some headers were missing from the request: fiware-service and fiware-servicepath are mandatory',
    );
  }
  const tenant = service.toLowerCase();
  // Empty, as agents send it that know no services: the default tenant.
  if (tenant !== DEFAULT_TENANT && !isTenantName(tenant))
    throw new ProvisioningError('WRONG_SYNTAX', 'fiware-service must be 1 to 64 letters, digits, "_" or "-"');
  if (!(listing && path === '/*') && !/^\/([A-Za-z0-9_]{1,50}(\/[A-Za-z0-9_]{1,50}){0,9})?$/.test(path)) {
    throw new ProvisioningError(
      'WRONG_SYNTAX',
      'fiware-servicepath must begin with "/" and consist of letters, digits and "_" between slashes',
    );
  }
  return { caller: { tenant: tenant as TenantId, principal: request.caller.principal }, path };
}

function listIn(body: JsonValue | undefined, ...keys: readonly string[]): readonly JsonValue[] {
  const key = isObject(body) ? keys.find((name) => name in body) : undefined;
  const list = isObject(body) && key !== undefined ? body[key] : undefined;
  if (!Array.isArray(list) || list.length === 0) {
    throw new ProvisioningError('WRONG_SYNTAX', `The body must be a JSON object with an array "${keys[0]}"`);
  }
  return list;
}

function groupNamed(request: FastifyRequest): { resource: string; apikey: string } {
  const apikey = parameter(request, 'apikey');
  if (apikey === undefined)
    throw new ProvisioningError('WRONG_SYNTAX', 'The parameters resource and apikey say which group is meant');
  return { resource: parameter(request, 'resource') ?? '', apikey };
}

const idOf = (request: FastifyRequest): string => (request.params as { id: string }).id;

function whole(request: FastifyRequest, name: string, fallback: number, most = Number.MAX_SAFE_INTEGER): number {
  const text = parameter(request, name);
  if (text === undefined) return fallback;
  if (!/^\d{1,9}$/.test(text)) throw new ProvisioningError('WRONG_SYNTAX', `${name} must be a whole number`);
  return Math.min(Number(text), most);
}
