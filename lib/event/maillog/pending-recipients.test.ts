import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { PendingRecipients, type Pending } from './pending-recipients.ts'

const address = fc.oneof(
  fc.constantFrom('a@x', 'b@x', 'почта@пример', '', '"a\0b"@x'),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
)
/** `R` stands for the recipient. */
const words = fc.oneof(
  fc.constantFrom('said: 450 <R> R', 'R', 'said: 450 <R>\0'),
  fc.string({ unit: 'grapheme' }),
  fc.nat(20_000).map(length => 'x'.repeat(length)),
)
const pending: fc.Arbitrary<Pending> = fc
  .record({ to: address, words, others: others() })
  .map(({ to, words: text, others: rest }) => ({ to, description: text.replaceAll('R', () => to), ...rest }))

function others() {
  return fc.record(
    {
      origTo: fc.option(address, { nil: undefined }),
      relay: fc.constantFrom('mx[192.0.2.1]:25', 'none', 'почта'),
      dsn: fc.constantFrom('4.2.0', '5.123.123'),
      code: fc.option(fc.integer({ min: 200, max: 599 }), { nil: undefined }),
      reportedAtMs: fc.double({ min: 0, max: 1e13, noNaN: true }),
      softReported: fc.boolean(),
    },
    { noNullPrototype: true },
  )
}

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

test('PendingRecipients keeps once what a server says to all alike', () => {
  const recipients = new PendingRecipients(1 << 20)
  const each = (number: number): Pending => ({
    to: `recipient.${number}@example.com`,
    origTo: undefined,
    relay: 'mx.example.com[192.0.2.7]:25',
    dsn: '4.2.0',
    code: 450,
    description: `host mx.example.com[192.0.2.7] said: 450 4.2.0 <recipient.${number}@example.com>: ${'Greylisted '.repeat(90)}`,
    reportedAtMs: 1,
    softReported: false,
  })
  // A thousand bytes each would be five times the memory that there is.
  const numbers = Array.from({ length: 5_000 }, (_, number) => recipients.add(number, 0, each(number)))
  assert.deepEqual(
    numbers.flatMap((number, index) => (number === undefined ? [index] : [])),
    [],
  )
  assert.deepEqual(recipients.get(numbers[4_999]!), each(4_999))
  for (const number of numbers) recipients.clear(number!)
  assert.notEqual(recipients.add(1, 0, each(1)), undefined)
})

test('PendingRecipients without room for one keeps nothing of it', () => {
  const recipients = new PendingRecipients(1 << 20)
  const each = (to: string, description: string): Pending => {
    return {
      to,
      origTo: undefined,
      relay: 'none',
      dsn: '4.2.0',
      code: undefined,
      description,
      reportedAtMs: 1,
      softReported: false,
    }
  }
  for (let number = 0; number < 400; number++) {
    const [to, description] = [`${number}@${'x'.repeat(1 << 20)}`, `${number} ${'y'.repeat(5_000)}`]
    assert.equal(recipients.add(1, 0, each(to, description)), undefined)
  }
  assert.notEqual(recipients.add(1, 0, each('a@x', 'y'.repeat(5_000))), undefined)
  assert.equal(recipients.size, 1)
})
