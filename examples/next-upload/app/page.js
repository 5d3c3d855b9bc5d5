'use client'
import { useState } from 'react'

export default function Page() {
  const [answer, setAnswer] = useState()
  async function send(event) {
    event.preventDefault()
    const response = await fetch('/api/embed', { method: 'POST', body: new FormData(event.target) })
    setAnswer(await response.json())
  }
  return (
    <form onSubmit={send}>
      <input type="file" name="video" accept="video/*" required />
      <textarea name="labels" defaultValue={'a red circle\na blue square'} />
      <button type="submit">Label</button>
      {answer?.message}
      <ol>
        {answer?.labels?.map(({ label, score }) => (
          <li key={label}>
            {label} {score.toFixed(3)}
          </li>
        ))}
      </ol>
    </form>
  )
}
