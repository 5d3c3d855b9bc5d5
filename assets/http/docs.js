// Shows openapi.json for people, and sends requests to this server. Nothing comes from elsewhere.

const byId = (id) => document.getElementById(id)
const response = await fetch('openapi.json')
const api = await response.json()

if (response.ok) {
  byId('title').textContent = `${api.info.title} ${api.info.version}`
  byId('about').textContent = api.info.description
  byId('operations').append(
    ...Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => describe(method, path, operation)),
    ),
  )
} else {
  byId('about').textContent = api.error.message
}

function describe(method, path, operation) {
  const box = element('details', { className: 'operation', open: method === 'post' })
  const summary = element('summary')
  summary.append(
    element('span', { className: 'method', textContent: method.toUpperCase() }),
    element('code', { textContent: path }),
    ` — ${operation.summary}`,
  )
  box.append(summary, ...request(operation), tryIt(method, path, operation), answers(operation))
  return box
}

function request({ requestBody }) {
  if (!requestBody) return []
  const { schema } = requestBody.content['application/json']
  return [
    element('h3', { textContent: 'Body' }),
    ...variantsOf(schema).map((variant) => {
      const box = element('details')
      const type = variant.properties.request_type?.const
      box.append(
        element('summary', { textContent: type ? `request_type: ${type}` : 'fields' }),
        json(variant),
      )
      return box
    }),
  ]
}

/** A body is of one kind, or of one of several. */
function variantsOf(schema) {
  return schema.oneOf ?? [schema]
}

function answers({ responses }) {
  const box = element('details')
  const table = element('table')
  for (const [status, { description, content }] of Object.entries(responses)) {
    const row = element('tr')
    const shape = Object.values(content ?? {})[0]?.schema
    const cell = element('td')
    cell.append(element('div', { textContent: description }), ...(shape ? [json(resolve(shape))] : []))
    row.append(element('th', { textContent: status, scope: 'row' }), cell)
    table.append(row)
  }
  box.append(element('summary', { textContent: 'Answers' }), table)
  return box
}

function tryIt(method, path, { requestBody }) {
  const box = element('div')
  const examples = Object.values(requestBody?.content['application/json'].examples ?? {})
  const body = element('textarea', { ariaLabel: `Body of ${path}`, hidden: !requestBody, spellcheck: false })
  const send = element('button', { type: 'button', textContent: 'Send' })
  const output = element('pre', { hidden: true, tabIndex: 0 })
  const choices = examples.map(({ summary, value }) => {
    const choose = element('button', { type: 'button', className: 'quiet', textContent: summary })
    choose.addEventListener('click', () => {
      body.value = JSON.stringify(withServedName(value, requestBody), null, 2)
    })
    return choose
  })
  choices[0]?.click()
  send.addEventListener('click', async () => {
    output.hidden = false
    output.textContent = '…'
    const options = requestBody
      ? { method, headers: { 'content-type': 'application/json' }, body: body.value }
      : { method }
    try {
      const answer = await fetch(path.slice(1), options)
      output.textContent = `${answer.status} ${answer.statusText}\n\n${pretty(await answer.text())}`
    } catch (error) {
      output.textContent = error.message
    }
  })
  box.append(...choices, body, send, output)
  return box
}

/** Examples name the model that the interface is known for; this server may have another. */
function withServedName(value, { content }) {
  const [served] = variantsOf(content['application/json'].schema)[0].properties.model.enum ?? [value.model]
  return { ...value, model: served }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1)
  } catch {
    return text
  }
}

function resolve(schema) {
  return schema.$ref ? api.components.schemas[schema.$ref.split('/').at(-1)] : schema
}

function json(value) {
  return element('pre', { textContent: JSON.stringify(value, null, 2), tabIndex: 0 })
}

function element(tag, properties = {}) {
  return Object.assign(document.createElement(tag), properties)
}
