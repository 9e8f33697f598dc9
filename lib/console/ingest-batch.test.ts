import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { batchBytesMax, batchOf, BatchTooLarge, inflateBatch, NotGzip } from './ingest-batch.ts'

test('inflateBatch inflates', async () => {
  assert.equal(String(await inflateBatch(gzipSync('{}\n'))), '{}\n')
})

test('inflateBatch refuses what is not gzip', async () => {
  for (const body of ['', '{', '{"msys":{}}', '\u001F']) await assert.rejects(inflateBatch(Buffer.from(body)), NotGzip)
})

test('inflateBatch says nothing of a body that is damaged', async () => {
  const whole = gzipSync('{"msys":{}}\n'.repeat(100))
  assert.equal(await inflateBatch(whole.subarray(0, whole.length - 9)), undefined)
  const flipped = Buffer.from(whole)
  flipped[20]! ^= 0xff
  assert.equal(await inflateBatch(flipped), undefined)
})

test('inflateBatch takes what inflates to the limit and nothing more', async () => {
  assert.equal((await inflateBatch(gzipSync(Buffer.alloc(batchBytesMax))))?.length, batchBytesMax)
  await assert.rejects(inflateBatch(gzipSync(Buffer.alloc(batchBytesMax + 1))), BatchTooLarge)
})

test('batchOf numbers lines from one and skips blank ones', () => {
  const batch = batchOf('id', Buffer.from('{}\r\n\n  \n[]\nx'), 0)
  assert.deepEqual(
    [...batch.lines].map(({ line, text }) => [line, text]),
    [
      [1, '{}\r'],
      [4, '[]'],
      [5, 'x'],
    ],
  )
  assert.equal(batch.errorType, undefined)
})

test('batchOf of a damaged body has its outcome and no lines', () => {
  assert.deepEqual(batchOf('id', undefined, 0), { id: 'id', errorType: 'decompress', lines: [] })
})
