import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { csvRows } from './csv-rows.ts'
import { RecordFramer } from './record-framer.ts'

/** Everything that comes of an input handed over in these pieces. */
function frame(pieces: readonly Buffer[], bytesMax?: number) {
  const framer = new RecordFramer(bytesMax)
  const parts = [...pieces.map(piece => framer.push(piece)), framer.end()]
  return {
    records: parts.flatMap(part => part.records),
    rejected: parts.flatMap(part => part.rejected),
    rows: parts.flatMap(part => csvRows(part.records, part.quoted)),
  }
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map(place => place % (bytes.length + 1)))].toSorted((a, b) => a - b)
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length))
}

const field = fc.string({ unit: fc.constantFrom('a', 'é', '"', ',', '\n', '\r', ' ', ';', '9'), maxLength: 12 })

function csvField(text: string): string {
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

test('any rows come back as they were, whatever the chunks and line ends', () => {
  const row = fc.tuple(fc.constantFrom('d', 'b', 'rb'), field, field, field)
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 8 }),
      fc.constantFrom('\n', '\r\n'),
      fc.boolean(),
      fc.array(fc.nat(500), { maxLength: 8 }),
      (rows, lineEnd, hasLastEnd, places) => {
        const text = rows.map(one => one.map(csvField).join(',')).join(lineEnd) + (hasLastEnd ? lineEnd : '')
        const framed = frame(cut(Buffer.from(text), places))
        assert.deepEqual(framed.rows, rows)
        assert.deepEqual(framed.rejected, [])
      },
    ),
    { numRuns: 1_000 },
  )
})

test('any bytes in any chunks yield the same, end, and lose no plain line that stands between broken ones', () => {
  const hostile = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', '\0', 'd,'), maxLength: 200 })
  fc.assert(
    fc.property(hostile, fc.array(fc.nat(400), { maxLength: 10 }), (text, places) => {
      const bytes = Buffer.from(text)
      const whole = frame([bytes])
      const pieces = frame(cut(bytes, places))
      assert.deepEqual(pieces.records, whole.records)
      assert.deepEqual(pieces.rejected, whole.rejected)
      for (const row of whole.rows) assert.ok(row === undefined || row.length > 0)
    }),
    { numRuns: 2_000 },
  )
})

test('a quote that is not closed costs its own line only', () => {
  const { records, rejected } = frame([Buffer.from('d,1\nd,"broken\nd,2\nd,"a, b",3\nd,4\n')])
  assert.deepEqual(records, ['d,1', 'd,2', 'd,"a, b",3', 'd,4'])
  assert.deepEqual(rejected, [{ text: 'd,"broken', reason: 'a quoted field does not end as it should' }])
})

test('text after a closing quote costs its own line only', () => {
  const { records, rejected } = frame([Buffer.from('d,"a"b,1\nd,2\n')])
  assert.deepEqual(records, ['d,2'])
  assert.equal(rejected.length, 1)
})

test('resync gives up a quote that was left open, and keeps what follows', () => {
  const framer = new RecordFramer()
  assert.deepEqual(framer.push(Buffer.from('d,"open\nd,1\nd,2\nd,3')).records, [])
  const { records, rejected } = framer.resync()
  assert.deepEqual(records, ['d,1', 'd,2'])
  assert.equal(rejected.length, 1)
  assert.deepEqual(framer.push(Buffer.from('4\n')).records, ['d,34'])
})

test('resync leaves the beginning of a record alone', () => {
  const framer = new RecordFramer()
  framer.push(Buffer.from('d,1\nd,"half'))
  assert.deepEqual(framer.resync(), { records: [], quoted: false, rejected: [] })
  assert.deepEqual(framer.push(Buffer.from(' of it"\n')).records, ['d,"half of it"'])
})

test('records that are too long are rejected and cost no memory', () => {
  const long = 'x'.repeat(5_000)
  for (const line of [long, `d,"${long}"`, `d,"${'x\n'.repeat(2_500)}"`]) {
    const bytes = Buffer.from(`d,1\n${line}\nd,2\n`)
    const pieces = Array.from({ length: Math.ceil(bytes.length / 100) }, (_, i) =>
      bytes.subarray(100 * i, 100 * i + 100),
    )
    const { records, rejected } = frame(pieces, 1_000)
    assert.equal(records[0], 'd,1')
    assert.equal(records.at(-1), 'd,2')
    assert.ok(rejected.length > 0)
    for (const { text } of rejected) assert.ok(text.length <= 4_096)
  }
})

test('a record has 32 line ends at most, whatever the chunks', () => {
  const fits = `d,"${'\n'.repeat(32)}",1`
  const tooMany = `d,"${'\n'.repeat(33)}"`
  const bytes = Buffer.from(`${fits}\n${tooMany}\nd,2\n`)
  for (const pieces of [[bytes], Array.from(bytes, byte => Buffer.of(byte))]) {
    const { records, rejected } = frame(pieces)
    assert.equal(records[0], fits)
    assert.equal(records.at(-1), 'd,2')
    assert.equal(rejected[0]?.text, 'd,"')
  }
})

test('lines of which each leaves a quote open cost no more for being many', () => {
  // Counted, not timed: how often anything is looked for beyond the line that it stands in.
  const bytes = Buffer.from('a","\n'.repeat(10_000))
  let searches = 0
  const { indexOf } = Buffer.prototype
  Buffer.prototype.indexOf = function (this: Buffer, ...args: Parameters<typeof indexOf>) {
    searches += 1
    return indexOf.apply(this, args)
  } as typeof indexOf
  try {
    const { rejected } = frame([bytes, bytes])
    assert.ok(rejected.length > 15_000)
  } finally {
    Buffer.prototype.indexOf = indexOf
  }
  assert.ok(searches < 150 * 20_000, `${searches} searches`)
})

test('a byte order mark before the first line is no part of it', () => {
  assert.deepEqual(frame([Buffer.from('\ufefftype,rcpt\n')]).records, ['type,rcpt'])
  assert.deepEqual(frame(Array.from(Buffer.from('\ufefftype,rcpt\n'), byte => Buffer.of(byte))).records, ['type,rcpt'])
})

test('empty lines are nothing', () => {
  const { records, rejected } = frame([Buffer.from('\n\r\n\nd,1\r\n\r\nd,"2"\n\n')])
  assert.deepEqual(records, ['d,1', 'd,"2"'])
  assert.deepEqual(rejected, [])
})
