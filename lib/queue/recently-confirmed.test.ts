import assert from 'node:assert/strict'
import { it } from 'node:test'
import { RecentlyConfirmed } from './recently-confirmed.ts'

function kept(bytesMax = 1_000) {
  const clock = { ms: 0 }
  const dropped: string[] = []
  const confirmed = new RecentlyConfirmed<string>(
    bytesMax,
    item => dropped.push(item),
    () => clock.ms,
  )
  const at = (ms: number) => (clock.ms = ms)
  return { confirmed, at, dropped }
}

const others = (confirmed: RecentlyConfirmed<string>, runId: string | undefined) => [
  ...confirmed.ofOtherRuns(runId).values(),
]

it('keeps what was confirmed until the same run of Redis has answered something sent 3 s later', () => {
  const { confirmed, at } = kept()
  confirmed.add('first', 1, 'run', at(0))
  at(2_990)
  confirmed.add('second', 1, 'run', 2_990)
  // Sent in time, answered late: Redis may have been frozen since the first.
  at(60_000)
  confirmed.add('third', 1, 'run', 3_000)
  assert.deepEqual(others(confirmed, 'next').flat(), ['first', 'second', 'third'])
  confirmed.add('fourth', 1, 'run', 3_001)
  assert.deepEqual(others(confirmed, 'next').flat(), ['second', 'third', 'fourth'])
  assert.deepEqual(others(confirmed, 'run').flat(), [])
  // Any answer will do, of this run.
  confirmed.answered('next', 100_000)
  confirmed.answered('run', 63_000)
  assert.deepEqual(others(confirmed, 'next').flat(), ['third', 'fourth'])
  confirmed.answered('run', 63_001)
  assert.equal(confirmed.bytes, 0)
})

it('keeps what a run confirmed that ended, whatever the next one answers', () => {
  const { confirmed, at } = kept()
  confirmed.add('old', 1, 'run', at(0))
  confirmed.add('new', 1, 'next', at(100_000))
  confirmed.add('newer', 1, 'next', at(200_000))
  assert.deepEqual(others(confirmed, 'next'), [['old']])
  assert.deepEqual(others(confirmed, 'third'), [['old'], ['new', 'newer']])
  confirmed.forget(['old'])
  assert.deepEqual(others(confirmed, undefined).flat(), ['new', 'newer'])
  confirmed.add('newest', 1, 'next', at(300_000))
  assert.deepEqual(others(confirmed, undefined).flat(), ['newest'])
  assert.equal(confirmed.bytes, 1)
})

it('keeps no more than its bytes', () => {
  const { confirmed, at } = kept(100)
  for (const item of ['a', 'b', 'c']) confirmed.add(item, 40, 'run', at(0))
  assert.deepEqual(others(confirmed, 'next').flat(), ['b', 'c'])
  assert.equal(confirmed.bytes, 80)
  confirmed.add('huge', 101, 'run', at(0))
  assert.deepEqual(others(confirmed, 'next').flat(), [])
  assert.equal(confirmed.bytes, 0)
})

it('tells what it forgets, but for what others have', () => {
  const { confirmed, at, dropped } = kept(3)
  confirmed.add('first', 1, 'run', at(0))
  confirmed.add('second', 1, 'run', at(10))
  confirmed.add('third', 1, 'other', at(20))
  assert.deepEqual(others(confirmed, 'run'), [['third']])
  // Beyond the bytes, in spite of its age; then by age.
  confirmed.add('fourth', 1, 'run', at(30))
  assert.deepEqual(dropped, ['first'])
  confirmed.answered('run', 3_011)
  assert.deepEqual(dropped, ['first', 'second'])
  confirmed.forget(['third'])
  confirmed.answered('run', 10_000)
  assert.deepEqual(dropped, ['first', 'second', 'fourth'])
  assert.equal(confirmed.bytes, 0)
})
