import { defineConfig } from 'vitest/config'

const shared = {
  // A process per file: the addon's threads and the process-wide hooks of one file never meet another's.
  pool: 'forks',
  // Two also where there are two cores: a test waits as often as it works.
  maxWorkers: 2,
  testTimeout: 60_000,
  hookTimeout: 120_000,
  // What is polled for comes when it comes, also where other suites run beside this one.
  expect: { poll: { timeout: 30_000 } },
} as const

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'main',
          include: ['test/**/*.test.ts'],
          exclude: ['test/package/**', 'test/gpu/**'],
          globalSetup: [
            'test/temporary-folder.ts',
            // Before any test: a module that was not there when Vite first looked for it stays missing for the whole run.
            'test/adapters/lancedb-install.ts',
          ],
        },
      },
      // Needs `npm run prebuild` first; .ci/run does both.
      {
        test: {
          ...shared,
          name: 'package',
          include: ['test/package/**/*.test.ts'],
          globalSetup: ['test/temporary-folder.ts', 'test/package/install.ts'],
          testTimeout: 300_000,
        },
      },
    ],
  },
})
