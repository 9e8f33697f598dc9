import assert from 'node:assert/strict'
import { test } from 'node:test'
import { queueIdEnd } from './queue-id.ts'

const isQueueId = (text: string) => text !== '' && queueIdEnd(text, 0, text.length) === text.length

for (const id of ['89F46278BB9', 'ABCDEF', 'ED06590130AA1C9D6D862', '4jWyWp3dgpzMNjJ', '4jWyyF5nvpzMhp6']) {
  test(`${id} is a queue id`, () => assert.ok(isQueueId(id)))
}
for (const text of [
  'NOQUEUE',
  'warning',
  'ABCDE',
  'connect',
  '89f46278bb9',
  '4jWyWp3dgpMNjJ',
  '',
  'statistics',
  'A'.repeat(22),
]) {
  test(`"${text}" is none`, () => assert.ok(!isQueueId(text)))
}
test('queueIdEnd stops at the colon', () => assert.equal(queueIdEnd('x 89F46278BB9: to', 2, 17), 13))
