import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { it } from 'node:test'
import type { Redis } from 'ioredis'
import { AnswerLimit } from './answer-limit.ts'

function connection() {
  const stream = new EventEmitter()
  let cuts = 0
  const redis = Object.assign(new EventEmitter(), { status: 'ready', stream, disconnect: () => void cuts++ })
  const limit = new AnswerLimit(redis as unknown as Redis, 1_000)
  const waiting: (() => void)[] = []
  return {
    limit,
    read: () => limit.during(() => new Promise<void>(resolve => waiting.push(resolve))),
    receive: (bytes: number) => void stream.emit('data', Buffer.alloc(bytes)),
    /** The oldest reading has its answer. */
    answer: () => waiting.shift()!(),
    cuts: () => cuts,
  }
}

it('takes as many answers as are asked for, also where there is always one under way', async () => {
  const { limit, read, receive, answer, cuts } = connection()
  let last = read()
  for (let count = 0; count < 50; count++) {
    const next = read()
    receive(900)
    answer()
    await last
    last = next
  }
  assert.deepEqual([limit.isPassed, cuts()], [false, 0])
})

it('cuts a connection on which one answer is too large, whatever else is under way', async () => {
  const { limit, read, receive, answer, cuts } = connection()
  const [first] = [read(), read()]
  receive(900)
  answer()
  await first
  receive(600)
  assert.equal(cuts(), 0)
  receive(600)
  assert.deepEqual([limit.isPassed, cuts()], [true, 1])
})

it('lets come what nobody reads', () => {
  const { limit, receive } = connection()
  receive(5_000)
  assert.equal(limit.isPassed, false)
})
