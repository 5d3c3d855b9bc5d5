// Requests to the server of this page, with the user's key, and messages for its errors.

const keyName = 'cosmos-embed-key'
const form = document.getElementById('key-form')
const field = document.getElementById('key')

let key = sessionStorage.getItem(keyName)
let asking

/** An error to show to the user. `serverMessage` is the server's own message. */
export class Failure extends Error {
  constructor(message, serverMessage = '') {
    super(message)
    this.serverMessage = serverMessage
  }
}

/** Like `fetch`. If the server requires a key, asks the user for one and repeats the request. */
export async function request(url, options = {}) {
  for (;;) {
    const used = key
    const headers = { ...options.headers, ...(used && { authorization: `Bearer ${used}` }) }
    const response = await fetch(url, { ...options, headers }).catch(() => {
      throw new Failure('The server does not respond.')
    })
    if (response.status !== 401) return response
    if (used === key) await askForKey()
  }
}

/** Whether requests carry a key. */
export const hasKey = () => Boolean(key)

function askForKey() {
  asking ??= new Promise((resolve) => {
    document.getElementById('key-note').textContent = key
      ? 'The server rejected this key.'
      : 'This server requires a key.'
    form.hidden = false
    form.onsubmit = (event) => {
      event.preventDefault()
      const entered = field.value.trim()
      // A header can hold no other characters.
      if (!/^[\x21-\x7e]+$/.test(entered)) return
      key = entered
      // Forgotten when the tab is closed.
      sessionStorage.setItem(keyName, key)
      form.hidden = true
      asking = undefined
      resolve()
    }
  })
  return asking
}

const messages = {
  media: 'This file is not a readable video, or it is damaged.',
  encrypted: 'This video is encrypted.',
  limit: 'This video is over a limit of this server.',
  request_too_large: 'This is larger than this server accepts.',
  overloaded: 'The server is busy. Try again in a moment.',
  not_ready: 'The model is still loading. Try again in a moment.',
  closed: 'The server is shutting down.',
  device_lost: 'The server has lost its GPU and must be restarted.',
  out_of_memory: 'The server has run out of memory.',
  timeout: 'This took longer than the server allows.',
  request_timeout: 'The file did not reach the server in time.',
  invalid_request: 'The server cannot embed this.',
  forbidden: 'This page is not allowed to use the server under this address.',
}

/** The failure that an error response describes. */
export async function failureOf(response) {
  const { error } = await response.json().catch(() => ({}))
  const message = messages[error?.code] ?? `The server failed (status ${response.status}).`
  return new Failure(message, error?.message)
}
