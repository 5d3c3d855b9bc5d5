const { embed } = require('cosmos-embed')

embed({ request_type: 'bulk_text', input: 'a red circle' }).then(({ data }) => {
  console.log(JSON.stringify({ vectors: [[...data[0].embedding]] }))
})
