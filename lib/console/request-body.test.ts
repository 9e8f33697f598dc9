import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { readBody } from './request-body.ts'

function sent(...pieces: readonly string[]): PassThrough {
  const stream = new PassThrough()
  for (const piece of pieces) stream.write(piece)
  return stream
}

const read = (stream: PassThrough, bytesMax: number) => readBody(stream as unknown as IncomingMessage, bytesMax)

test('readBody gives what was sent, up to the limit', async () => {
  assert.equal(String(await read(sent('ab', 'cd').end(), 4)), 'abcd')
  await assert.rejects(read(sent('ab', 'cd', 'e').end(), 4), { name: 'BodyTooLarge', statusCode: 413 })
})

test('readBody of a client that went away is its fault, not ours', async () => {
  const stream = sent('ab')
  const reading = read(stream, 10)
  stream.destroy(new Error('aborted'))
  await assert.rejects(reading, { name: 'BodyIncomplete', statusCode: 400 })
})
