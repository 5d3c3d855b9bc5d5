// Renders a JSON Schema as a table of fields.
import { element, prose, scrolling } from './elements.js'

const maxDepth = 2

/** A table of the fields of `schema`. `resolve` follows a `$ref`. A field that all variants of a `oneOf` share is one row. */
export function fieldTable(schema, resolve, label) {
  const rows = fieldsOf(schema, resolve).map(({ name, required, type, description, when }) => {
    const about = [when && `with ${when}`, description].filter(Boolean).join(': ')
    return element(
      'tr',
      {},
      element('th', { scope: 'row' }, element('code', { textContent: name })),
      element('td', { textContent: type }),
      element('td', { textContent: required ? 'yes' : 'no' }),
      element('td', {}, ...prose(about)),
    )
  })
  const head = ['field', 'type', 'required', 'description'].map((name) =>
    element('th', { scope: 'col', textContent: name }),
  )
  return scrolling(element('table', {}, element('tr', {}, ...head), ...rows), label)
}

export function fieldsOf(schema, resolve, prefix = '', depth = 0) {
  const { oneOf, properties = {}, required = [] } = resolve(schema)
  if (oneOf) return fieldsOfVariants(oneOf.map(resolve), resolve)
  return Object.entries(properties).flatMap(([name, given]) => {
    const property = resolve(given)
    const field = {
      name: prefix + name,
      required: required.includes(name),
      type: typeOf(property, resolve),
      description: property.description,
    }
    const inner = property.type === 'array' ? resolve(property.items ?? {}) : property
    const nested = property.type === 'array' ? `${prefix}${name}[].` : `${prefix}${name}.`
    const deeper = inner.properties && depth < maxDepth
    return [field, ...(deeper ? fieldsOf(inner, resolve, nested, depth + 1) : [])]
  })
}

/** A field that differs between variants gets a row for each, labelled with the constant that tells the variants apart. */
function fieldsOfVariants(variants, resolve) {
  const [tag] = Object.keys(variants[0].properties).filter((name) =>
    variants.every(({ properties }) => properties[name] && 'const' in properties[name]),
  )
  const tagOf = ({ properties }) => (tag ? `${tag} ${JSON.stringify(properties[tag].const)}` : undefined)
  const all = variants.map((variant) => ({ when: tagOf(variant), fields: fieldsOf(variant, resolve) }))
  const names = [...new Set(all.flatMap(({ fields }) => fields.map(({ name }) => name)))]
  return names.flatMap((name) => {
    const found = all.flatMap(({ when, fields }) =>
      fields.filter((field) => field.name === name).map((field) => ({ ...field, when })),
    )
    const [first] = found
    const required = found.length === all.length && found.every((field) => field.required)
    if (name === tag) {
      return [{ ...first, required, type: found.map(({ type }) => type).join(' or '), when: undefined }]
    }
    const isSame = found.every(({ type, description }) => {
      return type === first.type && description === first.description
    })
    return isSame ? [{ ...first, required, when: undefined }] : found
  })
}

/** Describes a type in words, e.g. "text or a list of 1 to 64: text". */
function typeOf(unresolved, resolve) {
  const schema = resolve(unresolved)
  if ('const' in schema) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(' or ')
  const options = schema.anyOf ?? schema.oneOf
  if (options) return [...new Set(options.map((one) => typeOf(one, resolve)))].join(' or ')
  if (Array.isArray(schema.type)) {
    return schema.type.map((type) => typeOf({ ...schema, type }, resolve)).join(' or ')
  }
  if (schema.type === 'array') {
    const { minItems = 0, maxItems } = schema
    const count = maxItems === undefined ? '' : ` of ${minItems} to ${maxItems}`
    return `a list${count}: ${typeOf(schema.items ?? {}, resolve)}`
  }
  if (schema.type === 'string') return schema.pattern && schema.pattern !== '\\S' ? 'a data URI' : 'text'
  return (
    { integer: 'whole number', number: 'number', boolean: 'true or false', null: 'null', object: 'object' }[
      schema.type
    ] ?? 'anything'
  )
}
