import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { PendingRecipients, type Pending } from './pending-recipients.ts'

const address = fc.oneof(
  fc.constantFrom('a@x', 'b@x', 'почта@пример', '', '"a\0b"@x'),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
)
const pending: fc.Arbitrary<Pending> = fc.record(
  {
    to: address,
    origTo: fc.option(address, { nil: undefined }),
    relay: fc.constantFrom('mx[192.0.2.1]:25', 'none', 'почта'),
    dsn: fc.constantFrom('4.2.0', '5.123.123'),
    code: fc.option(fc.integer({ min: 200, max: 599 }), { nil: undefined }),
    description: fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.nat(20_000).map(length => 'x'.repeat(length)),
    ),
    reportedAtMs: fc.double({ min: 0, max: 1e13, noNaN: true }),
    softReported: fc.boolean(),
  },
  { noNullPrototype: true },
)

test('PendingRecipients gives back what was added and not deleted, of each message in order', () => {
  const step = fc.record({
    slot: fc.integer({ min: 1, max: 3 }),
    pending,
    what: fc.constantFrom('add', 'add', 'delete', 'clear'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const recipients = new PendingRecipients(1e9)
      const firsts = [0, 0, 0, 0]
      const model: Pending[][] = [[], [], [], []]
      for (const { slot, pending: each, what } of steps) {
        const list = model[slot]!
        const same = list.findIndex(({ to, origTo }) => to === each.to && origTo === each.origTo)
        const known = recipients.find(slot, each.to, each.origTo)
        assert.equal(known !== 0, same !== -1)
        if (known !== 0) assert.deepEqual(recipients.get(known), list[same])
        if (what === 'clear') {
          recipients.clear(firsts[slot]!)
          firsts[slot] = 0
          list.length = 0
        } else {
          if (known !== 0) {
            firsts[slot] = recipients.delete(known, firsts[slot]!)
            list.splice(same, 1)
          }
          if (what === 'add') {
            firsts[slot] = recipients.add(slot, firsts[slot]!, each)!
            list.push(each)
          }
        }
        for (const number of [1, 2, 3]) assert.deepEqual(recipients.list(firsts[number]!), model[number])
        assert.equal(recipients.size, model.flat().length)
      }
    }),
    { numRuns: 100 },
  )
})
