import { embed } from 'cosmos-embed'

const { data } = await embed({ request_type: 'bulk_text', input: 'a red circle' })
console.log(JSON.stringify({ vectors: [[...data[0].embedding]] }))
