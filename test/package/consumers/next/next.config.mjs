import { fileURLToPath } from 'node:url'

export default {
  output: 'standalone',
  serverExternalPackages: ['cosmos-embed'],
  // Files that are opened by name and not imported: the addon's libraries and the model.
  outputFileTracingIncludes: {
    '/api/embed': ['./node_modules/cosmos-embed/**/*'],
  },
  turbopack: { root: fileURLToPath(new URL('.', import.meta.url)) },
}
