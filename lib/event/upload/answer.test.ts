import assert from 'node:assert/strict'
import { test } from 'node:test'
import { answerReason, classifyAnswer, type HttpAnswer } from './answer.ts'
import { retryAfterMs, retryDelayMs } from './retry-schedule.ts'

const answer = (status: number, headers: HttpAnswer['headers'] = {}, body = ''): HttpAnswer => ({
  status,
  headers,
  body,
})
const actionOf = (status: number) => classifyAnswer(answer(status), 0).action

test('classifyAnswer decides by status', () => {
  const expected: Record<string, readonly number[]> = {
    accept: [200, 201, 202, 204, 299],
    bisect: [400, 409, 422],
    halve: [413],
    retry: [408, 420, 425, 429, 500, 502, 503, 504, 507, 599],
    keep: [301, 302, 307, 308, 401, 402, 403, 404, 405, 406, 410, 415, 451],
  }
  for (const [action, statuses] of Object.entries(expected)) {
    for (const status of statuses) assert.equal(actionOf(status), action, String(status))
  }
})

test('classifyAnswer honours Retry-After in seconds and as a date, up to a quarter of an hour', () => {
  const now = Date.parse('2026-02-19T12:00:00Z')
  const after = (value: string) => classifyAnswer(answer(429, { 'retry-after': value }), now)
  assert.deepEqual(after('7'), { action: 'retry', cause: 'busy', reason: 'HTTP 429', afterMs: 7000 })
  assert.equal(retryAfterMs('Thu, 19 Feb 2026 12:00:30 GMT', now), 30_000)
  assert.equal(retryAfterMs('Thu, 19 Feb 2026 11:00:30 GMT', now), 0)
  assert.equal(retryAfterMs('86400', now), 900_000)
  for (const bad of ['', 'soon', '-1', '1.5']) assert.equal(retryAfterMs(bad, now), undefined)
})

test('classifyAnswer tells overload from failure', () => {
  assert.equal((classifyAnswer(answer(429), 0) as { cause: string }).cause, 'busy')
  assert.equal((classifyAnswer(answer(503), 0) as { cause: string }).cause, 'fault')
})

test('answerReason quotes the service, without addresses and control characters, at most 200 characters', () => {
  const body = JSON.stringify({
    errors: [{ message: 'bad rcpt_to bob@example.com\r\nx', description: 'x'.repeat(900) }],
  })
  const reason = answerReason(answer(400, {}, body))
  assert.match(reason, /^HTTP 400: bad rcpt_to \[address\] x; x+$/)
  assert.ok(reason.length <= 210)
})

test('answerReason survives any body', () => {
  for (const body of [
    '',
    '<html>',
    '[]',
    'null',
    '{"errors":null}',
    '{"errors":[null,1,{}]}',
    '{"errors":"x"}',
    '"text"',
  ]) {
    assert.match(answerReason(answer(500, {}, body)), /^HTTP 500/)
  }
})

test('retryDelayMs doubles from one second to a minute, give or take a fifth', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 500].map(n => retryDelayMs(n, 0.5)),
    [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000],
  )
  assert.equal(retryDelayMs(1, 0), 800)
  assert.equal(retryDelayMs(7, 1), 72_000)
})
