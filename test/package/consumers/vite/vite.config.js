export default {
  logLevel: 'error',
  // Everything else is bundled; an addon and its model cannot be.
  ssr: { noExternal: true, external: ['cosmos-embed'] },
}
