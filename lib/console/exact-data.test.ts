import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { readDataExactly } from './exact-data.ts'

/** What a parser makes of a message that arrives in these pieces, and what it takes for the command after it. */
async function readIn(pieces: readonly Buffer[]): Promise<{ message: string; command: string | undefined }> {
  const parser = new SMTPStream()
  readDataExactly(parser)
  let command: string | undefined
  parser.oncommand = (line, next) => {
    command = line.toString('latin1')
    next?.()
  }
  const stream = parser.startDataMode(1e9)
  const reading = (async () => {
    const chunks: Buffer[] = []
    for await (const chunk of stream) chunks.push(chunk as Buffer)
    parser.continue()
    return Buffer.concat(chunks).toString('latin1')
  })()
  for (const piece of pieces) parser.write(piece)
  const message = await reading
  await new Promise(resolve => {
    parser.end(resolve)
  })
  return { message, command }
}

/** Texts made of what matters here. */
const texts = fc
  .array(fc.constantFrom('\r\n', '\r', '\n', '.', '..', 'a'), { maxLength: 30 })
  .map(parts => `${parts.join('')}\r\n`)

test('readDataExactly gives any message back byte for byte, in any pieces, and finds its end', async () => {
  await fc.assert(
    fc.asyncProperty(texts, fc.array(fc.integer({ min: 1, max: 5 })), async (message, sizes) => {
      const wire = Buffer.from(`${message.replaceAll(/(^|\r\n)\./g, '$1..')}.\r\nNEXT\r\n`, 'latin1')
      const pieces: Buffer[] = []
      let from = 0
      for (const size of sizes) {
        if (from >= wire.length) break
        pieces.push(wire.subarray(from, from + size))
        from += size
      }
      if (from < wire.length) pieces.push(wire.subarray(from))
      assert.deepEqual(await readIn(pieces), { message, command: 'NEXT' })
    }),
    { numRuns: 500 },
  )
})

test('readDataExactly finds the end of an empty message', async () => {
  assert.deepEqual(await readIn([Buffer.from('.\r\nNEXT\r\n')]), { message: '', command: 'NEXT' })
})
