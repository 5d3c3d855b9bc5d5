// The API reference: renders openapi.json and sends requests to this server only.
import { element, prose, scrolling } from './elements.js'
import { fieldsOf, fieldTable } from './fields.js'
import { pretty } from './json.js'
import { failureOf, hasKey, request } from './server.js'

const byId = (id) => document.getElementById(id)
/** The path prefix of the routes. This page is at PREFIX/docs. */
const prefix = location.pathname.replace(/\/docs\/?$/, '')

let api

try {
  const response = await request('openapi.json')
  if (!response.ok) throw await failureOf(response)
  api = await response.json()
  show()
} catch (error) {
  byId('about').textContent = error.message
}

function show() {
  byId('title').textContent = `${api.info.title} ${api.info.version}`
  byId('about').textContent = api.info.description
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  )
  byId('operations').append(...operations.map(operationSection), errorSection(operations))
}

function operationSection({ method, path, operation }) {
  const box = element('details', { className: 'operation', open: method === 'post' })
  const summary = element(
    'summary',
    {},
    element('span', { className: 'method', textContent: method.toUpperCase() }),
    element('code', { textContent: path }),
    ` — ${operation.summary}`,
  )
  box.append(
    summary,
    ...requestFields(path, operation),
    ...tryIt(method, path, operation),
    ...responseFields(path, operation),
  )
  return box
}

function requestFields(path, { requestBody }) {
  const { schema } = bodyOf(requestBody) ?? {}
  return schema ? [heading('Fields'), fieldTable(schema, resolve, `Fields of the request to ${path}`)] : []
}

function responseFields(path, { responses }) {
  const { schema } = bodyOf(responses[200]) ?? {}
  const others = Object.keys(responses).filter((status) => status !== '200')
  const hasFields = schema && fieldsOf(schema, resolve).length > 0
  return [
    heading('Response'),
    hasFields
      ? fieldTable(schema, resolve, `Fields of the response of ${path}`)
      : element('p', { textContent: 'Plain text.' }),
    ...(others.length === 0
      ? []
      : [
          element(
            'p',
            { className: 'soft', textContent: `Other statuses: ${others.join(', ')}. See ` },
            element('a', { href: '#errors', textContent: 'Errors' }),
            '.',
          ),
        ]),
  ]
}

/** The statuses and the body of errors, once for all operations. */
function errorSection(operations) {
  const responses = operations.flatMap(({ operation }) =>
    Object.entries(operation.responses).filter(([status]) => status !== '200'),
  )
  const meanings = new Map()
  for (const [status, { description }] of responses) {
    meanings.set(status, (meanings.get(status) ?? new Set()).add(description))
  }
  const rows = [...meanings]
    .sort()
    .map(([status, texts]) =>
      element(
        'tr',
        {},
        element('th', { scope: 'row', textContent: status }),
        element('td', {}, ...prose([...texts].join('; '))),
      ),
    )
  const isError = ({ properties }) => properties?.error !== undefined
  const body = responses
    .map(([, response]) => bodyOf(response)?.schema)
    .find((schema) => schema && isError(resolve(schema)))
  return element(
    'section',
    { id: 'errors' },
    element('h2', { textContent: 'Errors' }),
    element(
      'p',
      {},
      ...prose(
        'All errors have the same body. `x-should-retry` says whether the same request may succeed later.',
      ),
    ),
    scrolling(element('table', {}, ...rows), 'Statuses of errors'),
    ...(body ? [fieldTable(body, resolve, 'Fields of an error')] : []),
  )
}

function tryIt(method, path, { requestBody, security = api.security ?? [] }) {
  const content = bodyOf(requestBody)
  const body = element('textarea', { ariaLabel: `Body of ${path}`, spellcheck: false })
  const parts = path.match(/\{\w+\}/g) ?? []
  const places = parts.map((part) =>
    element('input', { type: 'text', placeholder: part, ariaLabel: `${part} of ${path}` }),
  )
  const url = () => {
    const filled = parts.reduce((text, part, at) => {
      return text.replace(part, places[at].value === '' ? part : encodeURIComponent(places[at].value))
    }, path)
    return filled.startsWith(`${prefix}/`) ? filled : prefix + filled
  }
  const options = () => ({
    method: method.toUpperCase(),
    ...(content && { headers: { 'content-type': 'application/json' }, body: body.value }),
  })
  const command = element('pre', { tabIndex: 0, className: 'curl' })
  const refresh = () => {
    command.textContent = curlCommand(url(), options(), security.length > 0)
  }
  const choices = Object.values(content?.examples ?? {}).map(({ summary, value }) => {
    const choose = element('button', { type: 'button', className: 'quiet', textContent: summary })
    choose.addEventListener('click', () => {
      body.value = JSON.stringify(withServedName(value, content), null, 2)
      refresh()
    })
    return choose
  })
  choices[0]?.click()
  refresh()
  for (const input of [body, ...places]) input.addEventListener('input', refresh)
  const output = element('pre', { hidden: true, tabIndex: 0, className: 'answer' })
  const send = element('button', { type: 'button', textContent: 'Send' })
  send.addEventListener('click', () => showAnswer(output, url(), options()))
  return [
    heading('Try it'),
    ...(choices.length > 1 ? [element('div', {}, ...choices)] : []),
    ...places,
    ...(content ? [body] : []),
    element('div', { className: 'actions' }, send, copyButton(command)),
    command,
    output,
  ]
}

async function showAnswer(output, url, options) {
  output.hidden = false
  output.textContent = '…'
  try {
    const answer = await request(url, options)
    const text = await answer.text()
    output.replaceChildren(`${answer.status} ${answer.statusText}\n\n`, ...formatted(text))
  } catch (error) {
    output.textContent = error.message
  }
}

/** Formats JSON, or lines of JSON. Other text stays as it is. */
function formatted(text) {
  try {
    return pretty(JSON.parse(text))
  } catch {}
  try {
    return text
      .trimEnd()
      .split('\n')
      .flatMap((line) => [...pretty(JSON.parse(line)), '\n'])
  } catch {
    return [text]
  }
}

/** A command for a POSIX shell. The key is read from the environment, so that it does not appear on the screen. */
function curlCommand(url, { method, headers = {}, body }, secured) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`
  const key = secured || hasKey() ? ['-H "authorization: Bearer $COSMOS_EMBED_API_KEY"'] : []
  return [
    `curl -s ${method === 'GET' ? '' : `-X ${method} `}${quoted(new URL(url, location.href).href)}`,
    ...key,
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    ...(body === undefined ? [] : [`-d ${quoted(body)}`]),
  ].join(' \\\n  ')
}

function copyButton(source) {
  const copy = element('button', { type: 'button', className: 'quiet', textContent: 'Copy as curl' })
  copy.addEventListener('click', async () => {
    try {
      // Browsers offer the clipboard over HTTPS and on localhost only.
      await navigator.clipboard.writeText(source.textContent)
      copy.textContent = 'Copied'
    } catch {
      getSelection().selectAllChildren(source)
      copy.textContent = 'Selected: press Ctrl+C'
    }
    setTimeout(() => {
      copy.textContent = 'Copy as curl'
    }, 2000)
  })
  return copy
}

/** Replaces the model of an example, which may have been written before the model was loaded, by the served one. */
function withServedName(value, { schema }) {
  if (!('model' in value)) return value
  const { oneOf: [first] = [schema] } = resolve(schema)
  const [served = value.model] = resolve(first).properties?.model?.enum ?? []
  return { ...value, model: served }
}

/** The body of a request or response. Each has a single media type. */
function bodyOf(message) {
  return Object.values(message?.content ?? {})[0]
}

function resolve(schema) {
  return schema.$ref ? api.components.schemas[schema.$ref.split('/').at(-1)] : schema
}

function heading(text) {
  return element('h3', { textContent: text })
}
