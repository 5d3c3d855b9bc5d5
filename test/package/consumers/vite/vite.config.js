export default {
  logLevel: 'error',
  // An addon and its model cannot be bundled. Everything else is.
  ssr: { noExternal: true, external: ['cosmos-embed'] },
}
