// argv: a file that is no addon. Imports the binding, then calls it.
process.env.COSMOS_EMBED_ADDON = process.argv[2]
const { default: binding } = await import('#binding')
const result = { imported: typeof binding.diagnostics === 'function' }
try {
  binding.diagnostics()
} catch ({ code, message }) {
  Object.assign(result, { code, message })
}
console.log(JSON.stringify(result))
