import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    setupFiles: ['test/support/property-seed.ts'],
    include: ['test/**/*.test.ts'],
    // Most tests share nothing, but start real servers: two at a time is what a 2-core machine carries.
    maxWorkers: 2,
    testTimeout: 20_000,
  },
});
