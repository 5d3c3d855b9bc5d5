// The addon must be loaded from node_modules, not bundled. Next.js does not find its libraries by following imports.
export default {
  serverExternalPackages: ['cosmos-embed'],
  outputFileTracingIncludes: { '/api/embed': ['./node_modules/cosmos-embed/**/*'] },
}
