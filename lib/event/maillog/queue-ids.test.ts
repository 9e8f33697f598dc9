import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { QueueIds, uuidRank } from './queue-ids.ts'
import { findUuid, foundUuid } from './uuid-words.ts'

const uuid = (digit: string) => {
  const text = `${digit.repeat(8)}-1111-4111-8111-111111111111`
  assert.ok(findUuid(text, 0, text.length))
  return { text, words: foundUuid.slice() }
}
const open = (ids: QueueIds, id: string, nowS = 0) => ids.open(id, 0, id.length, nowS)
const find = (ids: QueueIds, id: string) => ids.find(id, 0, id.length)

interface Model {
  id: string
  host: string
  nowS: number
  removed: boolean
}

test('QueueIds knows what was opened and not forgotten, in order, whatever comes between', () => {
  const step = fc.record({
    host: fc.constantFrom('one', 'two'),
    id: fc.integer({ min: 0, max: 40 }).map(number => `A000${number.toString(16).toUpperCase().padStart(4, '0')}`),
    what: fc.constantFrom('open', 'open', 'open', 'remove', 'forget', 'evict', 'sweep'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const ids = new QueueIds()
      let model: Model[] = []
      for (const [nowS, { host, id, what }] of steps.entries()) {
        ids.setHost(host)
        const slot = find(ids, id)
        const known = model.find(entry => entry.host === host && entry.id === id)
        assert.equal(slot !== 0, known !== undefined)
        if (what === 'open' && !known) {
          open(ids, id, nowS)
          model.push({ id, host, nowS, removed: false })
        } else if (what === 'remove' && known && !known.removed) {
          ids.setRemoved(slot, nowS)
          model = [...model.filter(entry => entry !== known), { ...known, nowS, removed: true }]
        } else if (what === 'forget' && known) {
          ids.forget(slot)
          model = model.filter(entry => entry !== known)
        } else if (what === 'evict') {
          const oldest = ids.oldest()
          const hosts = ['one', 'two'].map(name => model.filter(entry => entry.host === name))
          const expected =
            model.find(entry => entry.removed) ?? hosts.find(one => hosts.every(two => one.length >= two.length))?.[0]
          assert.equal(oldest !== 0, expected !== undefined)
          if (oldest !== 0 && expected?.removed) assert.equal(ids.idOf(oldest), expected.id)
        } else if (what === 'sweep') ids.sweepHosts()
        const living = (name: string) => model.filter(entry => entry.host === name && !entry.removed)
        const expected = [...living('one'), ...living('two'), ...model.filter(entry => entry.removed)]
        const found = [...ids.all()].map(each => ({
          id: ids.idOf(each),
          host: ids.hostOf(each),
          nowS: ids.touchedS(each),
          removed: ids.isRemoved(each),
        }))
        const byHost = (a: Model, b: Model) =>
          Number(a.removed) - Number(b.removed) || (a.removed ? 0 : a.host.localeCompare(b.host))
        assert.deepEqual(found.toSorted(byHost), expected)
        assert.equal(ids.size, model.length)
      }
    }),
    { numRuns: 100 },
  )
})

test('QueueIds keeps tens of thousands apart, and uses the room of the forgotten again', () => {
  const ids = new QueueIds()
  ids.setHost('mx')
  for (let round = 0; round < 3; round++) {
    for (let number = 0; number < 20_000; number++) ids.touch(open(ids, `ABCDEF${number}`), number)
    for (let number = 0; number < 20_000; number++) assert.equal(ids.touchedS(find(ids, `ABCDEF${number}`)), number)
    for (const slot of ids.all()) {
      assert.ok(slot <= 20_000)
      ids.forget(slot)
    }
    assert.equal(ids.size, 0)
  }
})

test('QueueIds tells which of two was opened later', () => {
  const ids = new QueueIds()
  const [first, second] = [open(ids, 'A1'), open(ids, 'A2')]
  assert.ok(ids.isAfter(second, first))
  assert.ok(!ids.isAfter(first, second))
  // Also when serials begin anew.
  const last = ids.open('A3', 0, 2, 0, 0xffff_ffff)
  const beyond = open(ids, 'A4')
  assert.ok(ids.isAfter(beyond, last))
  assert.notEqual(ids.serialOf(beyond), 0)
})

test('QueueIds knows UUIDs, and goes back to that of the message-id when the header does not count', () => {
  const ids = new QueueIds()
  const slot = open(ids, 'A1')
  assert.equal(ids.uuid(slot), undefined)
  ids.setMessageIdUuid(slot, uuid('a').words)
  ids.setUuid(slot, uuid('b').words, uuidRank.header)
  assert.equal(ids.uuid(slot), uuid('b').text)
  ids.dropHeaderUuid(slot)
  assert.equal(ids.uuid(slot), uuid('a').text)
  assert.equal(ids.rank(slot), uuidRank.messageId)
  const other = open(ids, 'A2')
  ids.setUuid(other, uuid('c').words, uuidRank.header)
  assert.ok(!ids.sameUuid(slot, other))
  ids.dropHeaderUuid(other)
  assert.equal(ids.uuid(other), undefined)
})

test('QueueIds knows the UUID in the message-id beside the one that counts, whatever came first', () => {
  const step = fc.record({
    slot: fc.nat(2),
    digit: fc.constantFrom('a', 'b'),
    what: fc.constantFrom('id', 'header', 'drop', 'anew'),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), steps => {
      const ids = new QueueIds()
      const slots = ['A1', 'A2', 'A3'].map(id => open(ids, id))
      const model = slots.map(() => ({
        messageId: undefined as string | undefined,
        uuid: undefined as string | undefined,
      }))
      for (const { slot: number, digit, what } of steps) {
        const { text, words } = uuid(digit)
        const slot = slots[number]!
        const known = model[number]!
        if (what === 'id') {
          ids.setMessageIdUuid(slot, words)
          known.messageId = text
        } else if (what === 'header') {
          ids.setUuid(slot, words, uuidRank.header)
          known.uuid = text
        } else if (what === 'drop') {
          ids.dropHeaderUuid(slot)
          known.uuid = known.messageId
        } else {
          ids.forget(slot)
          slots[number] = open(ids, `A${number + 1}`)
          model[number] = { messageId: undefined, uuid: undefined }
        }
        const found = slots.map(each => ({ messageId: ids.messageIdUuid(each), uuid: ids.uuid(each) }))
        assert.deepEqual(found, model)
        for (const [at, each] of slots.entries())
          assert.equal(ids.hasMessageIdUuid(each), model[at]?.messageId !== undefined)
      }
    }),
  )
})
