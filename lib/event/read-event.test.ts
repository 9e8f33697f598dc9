import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEvent } from './read-event.ts'

test('readEvent takes what has what every event has, and nothing else', () => {
  const event = { id: '1', type: 'open', messageId: 'm', at: 1, more: [] }
  assert.deepEqual(readEvent(JSON.stringify(event)), event)
  for (const name of ['id', 'type', 'messageId', 'at']) {
    assert.equal(readEvent(JSON.stringify({ ...event, [name]: undefined })), undefined, name)
    assert.equal(readEvent(JSON.stringify({ ...event, [name]: {} })), undefined, name)
  }
  for (const text of ['', '{', 'null', '1', '"text"', '[]', '{}']) assert.equal(readEvent(text), undefined, text)
})
