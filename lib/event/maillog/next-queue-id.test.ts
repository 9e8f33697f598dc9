import assert from 'node:assert/strict'
import { test } from 'node:test'
import { nextQueueId } from './next-queue-id.ts'

const texts: Record<string, string | undefined> = {
  '250 2.0.0 Ok: queued as 4A3B2C1D0E': '4A3B2C1D0E',
  '250 2.0.0 from MTA(smtp:[127.0.0.1]:10025): 250 2.0.0 Ok: queued as 4jWyWp3dgpzMNjJ': '4jWyWp3dgpzMNjJ',
  'forwarded as 4A3B2C1D0E': '4A3B2C1D0E',
  'queued as AAAAAAAAAA queued as BBBBBBBBBB': 'BBBBBBBBBB',
  'queued as AAAAAAAAAA listed as BBBBBBBBBB': 'AAAAAAAAAA',
  '250 OK id=1tkXyz-0000000AbCd-1Qrs': undefined,
  'queued as nothing': undefined,
  'ed as AAAAAAAAAA': undefined,
  'queued as ': undefined,
  '': undefined,
}
for (const [text, expected] of Object.entries(texts)) {
  test(`nextQueueId of "${text}"`, () => {
    const line = `queued as CCCCCCCCCC, status=sent (${text})`
    const from = line.indexOf('(') + 1
    const at = nextQueueId(line, from, line.length - 1)
    assert.equal(at === -1 ? undefined : /^[0-9A-Za-z]+/.exec(line.slice(at))?.[0], expected)
  })
}
test('nextQueueId ends in time', () => {
  const text = 'ed as '.repeat(10_000)
  const started = performance.now()
  assert.equal(nextQueueId(text, 0, text.length), -1)
  assert.ok(performance.now() - started < 1000)
})
