import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Registry } from 'prom-client'
import { Health } from '../../process/health.ts'
import type { DeliveryEvent } from '../event.ts'
import { AccountingLoader } from './accounting-loader.ts'
import { AccountingMeter } from './accounting-meter.ts'
import type { RejectedLine } from './record-framer.ts'
import type { RecordEntry } from './record-sink.ts'

const messageId = '0000123456789abcdef0'
const header = 'type,rcpt,header_x-sp-message-id'

function setUp(known?: readonly string[], makesEvents = false) {
  const entries: RecordEntry[] = []
  const events: DeliveryEvent[] = []
  const rejected: RejectedLine[] = []
  const saved: (readonly string[])[] = []
  const meter = new AccountingMeter(new Registry())
  const health = new Health()
  const clock = { ms: 0, recalls: 0 }
  const loader = new AccountingLoader({
    headers: {
      recall: async () => {
        clock.recalls += 1
        return known
      },
      save: async names => void saved.push(names),
    },
    offer: async offered => void entries.push(...offered),
    push: makesEvents ? async pushed => void events.push(...pushed) : undefined,
    reject: lines => void rejected.push(...lines),
    meter,
    health,
    now: () => clock.ms,
  })
  return { loader, entries, events, rejected, saved, meter, health, clock }
}

test('a header counts from its line on, wherever it stands', async () => {
  const { loader, entries, saved } = setUp()
  await loader.accept(
    Buffer.from(
      `${header}\nd,a@b,${messageId}\ntype,header_x-sp-message-id,rcpt\nd,${messageId},c@d\n${header}\nd,e@f,${messageId}\n`,
    ),
  )
  assert.deepEqual(
    entries.map(({ record }) => record.recipient),
    ['a@b', 'c@d', 'e@f'],
  )
  assert.equal(saved.length, 3)
})

test('a header that is not known is asked for, and again later, but not for every line', async () => {
  const { loader, rejected, clock } = setUp()
  await loader.accept(Buffer.from('d,1\nd,2\nd,3\n'))
  assert.equal(rejected.length, 3)
  assert.equal(clock.recalls, 1)
  clock.ms += 10_000
  await loader.accept(Buffer.from('d,4\n'))
  assert.equal(clock.recalls, 2)
})

test('a header line that can not be used is rejected with its reason, and is not kept', async () => {
  const { loader, rejected, saved } = setUp()
  await loader.accept(Buffer.from(`${header}\rd,a@b,${messageId}\rd,c@d,${messageId}\r`))
  await loader.end()
  await loader.accept(Buffer.from(`${header}${',x'.repeat(300)}\n`))
  assert.deepEqual(
    rejected.map(({ reason }) => reason),
    [
      'a header line with control characters: lines should end in LF or CRLF',
      'a header line of 303 columns, 256 are the most',
    ],
  )
  assert.deepEqual(saved, [])
})

test('accounting without the columns that are needed turns health red, until it has them', async () => {
  const { loader, health, meter } = setUp()
  await loader.accept(Buffer.from('type,rcpt\nd,a@b\n'))
  assert.match(health.report().reasons['columns'] ?? '', /header_x-sp-message-id.*record-fields/)
  assert.equal(meter.totals.untracked, 1)
  await loader.accept(Buffer.from(`${header}\n`))
  assert.equal(health.report().status, 'ok')
})

test('any bytes at all: nothing throws, every line has one outcome', async () => {
  const piece = fc.constantFrom(
    `d,a@b,${messageId}\n`,
    `b,"a""b@c",${messageId}\r\n`,
    `f,x@y,\n`,
    `${header}\n`,
    'type\n',
    '"',
    ',',
    '\n',
    '\r',
    'd,',
    'rubbish',
    '\0',
    'é',
    '"\n',
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(piece, { maxLength: 6 }), { maxLength: 12 }),
      fc.boolean(),
      async (chunks, makesEvents) => {
        const { loader, entries, rejected, meter } = setUp(header.split(','), makesEvents)
        for (const chunk of chunks) await loader.accept(Buffer.from(chunk.join('')))
        await loader.idle()
        await loader.end()
        const { totals } = meter
        assert.equal(totals.record, entries.length)
        assert.equal(totals.rejected, rejected.length)
        for (const { messageId: id } of entries) assert.match(id, /^[!-~]{1,64}$/)
      },
    ),
    { numRuns: 1_000 },
  )
})
