import type { FastifyPluginAsync } from 'fastify';
import { SENSING } from '../../domain/sta/model.ts';
import type { StaOperations } from '../../operations/sta/operations.ts';
import { staRoutes } from './routes.ts';

export interface StaRootSettings {
  /** What others reach; empty: what the client used. */
  readonly publicUrl: string;
  readonly jsonDepth: number;
  /** Conformance classes beyond those that every root has, with their settings. */
  readonly conformance?: () => Readonly<Record<string, unknown>>;
}

/** The service roots of SensorThings (ADR-0006). */
export const sensorThingsRoots = (operations: StaOperations, settings: StaRootSettings): FastifyPluginAsync =>
  staRoutes(operations, { conformance: () => ({}), ...settings, model: SENSING, prefix: '/sta/v1.1' });
