import type { FastifyPluginAsync, FastifyRequest } from 'fastify';
import { type Command, shownState } from '../../domain/command.ts';
import { ProvisioningError } from '../../domain/device-document.ts';
import type { CommandOperations } from '../../operations/commands/operations.ts';
import type { DeviceOperations } from '../../operations/devices.ts';
import { iotErrors } from './errors.ts';
import { placeOf } from './provisioning.ts';

const TAGS = ['Devices'];

/** The commands that wait for a device, or for its answer: to look at, and to take back. */
export const commandRoutes =
  (commands: CommandOperations, devices: DeviceOperations): FastifyPluginAsync =>
  async (app) => {
    iotErrors(app);
    const deviceOf = (request: FastifyRequest) =>
      devices.registry.find(placeOf(request), (request.params as { id: string }).id);

    app.get(
      '/iot/devices/:id/commands',
      { schema: { summary: 'Commands that are not at their end', tags: TAGS } },
      async (request) => {
        const open = await commands.list(placeOf(request).caller, deviceOf(request).identity);
        return { count: open.length, commands: open.map(shown) };
      },
    );
    app.delete(
      '/iot/devices/:id/commands/:command',
      { schema: { summary: 'Take back a command', tags: TAGS } },
      async (request, reply) => {
        const { command } = request.params as { command: string };
        const device = deviceOf(request).identity;
        if (!(await commands.takeBack(placeOf(request).caller, device, command)))
          throw new ProvisioningError('COMMAND_NOT_FOUND', 'There is no such command, or it has come to its end');
        return reply.code(204).send();
      },
    );
  };

const shown = (command: Command) => ({
  id: command.id,
  name: command.name,
  value: command.value,
  entity: command.entity,
  ...shownState(command),
  createdAt: command.createdAt,
  ...(command.deliveredAt !== undefined && { deliveredAt: command.deliveredAt }),
  expiresAt: command.expiresAt,
});
