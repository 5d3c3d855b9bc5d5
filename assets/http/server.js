// Requests to the server that this page is from, with its reader's key, and its errors in words for people.

const keyName = 'cosmos-embed-key'
const form = document.getElementById('key-form')
const field = document.getElementById('key')

let key = sessionStorage.getItem(keyName)
let asking

/** What went wrong, for people; `said` is how the server put it. */
export class Failure extends Error {
  constructor(message, said = '') {
    super(message)
    this.said = said
  }
}

/** As `fetch`. Where the server wants a key, its reader is asked for one, and the request is made again. */
export async function request(url, options = {}) {
  for (;;) {
    const used = key
    const headers = { ...options.headers, ...(used && { authorization: `Bearer ${used}` }) }
    const response = await fetch(url, { ...options, headers }).catch(() => {
      throw new Failure('The server does not answer.')
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
      ? 'The server does not take this key.'
      : 'This server asks for a key.'
    form.hidden = false
    form.onsubmit = (event) => {
      event.preventDefault()
      const given = field.value.trim()
      // A header cannot hold anything else.
      if (!/^[\x21-\x7e]+$/.test(given)) return
      key = given
      // For as long as this tab is open.
      sessionStorage.setItem(keyName, key)
      form.hidden = true
      asking = undefined
      resolve()
    }
  })
  return asking
}

const words = {
  media: 'This file is no video that can be read, or it is damaged.',
  encrypted: 'This video is encrypted.',
  limit: 'This video asks for more than this server allows.',
  request_too_large: 'This is larger than what this server takes.',
  overloaded: 'The server is busy. Try again in a moment.',
  not_ready: 'The model is still loading. Try again in a moment.',
  closed: 'The server is being stopped.',
  device_lost: 'The server has lost its GPU and must be started again.',
  out_of_memory: 'The server has no memory left for this.',
  timeout: 'This took longer than the server allows.',
  request_timeout: 'The file did not reach the server in time.',
  invalid_request: 'The server cannot make a vector of this.',
  forbidden: 'This page is not allowed to use the server under this address.',
}

/** What an answer that is none was about. */
export async function failureOf(response) {
  const { error } = await response.json().catch(() => ({}))
  const message = words[error?.code] ?? `The server could not do this (status ${response.status}).`
  return new Failure(message, error?.message)
}
