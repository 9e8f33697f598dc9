import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { ClientConversation } from './client-conversation.ts'

const secret = 'c2VjcmV0'

function shown(lines: readonly string[]): string[] {
  const out: string[] = []
  const conversation = new ClientConversation((from, text) => out.push(`${from}: ${text.trimEnd()}`))
  for (const line of lines) conversation.heard(Buffer.from(line), false)
  return out
}

test('commands are shown as they came, AUTH without what it brings', () => {
  assert.deepEqual(shown(['EHLO x', 'WIZ now', `auth plain ${secret}`, 'AUTH LOGIN', 'MAIL FROM:<a@b>']), [
    'C: EHLO x',
    'C: WIZ now',
    'C: auth plain *hidden*',
    'C: AUTH LOGIN',
    'C: MAIL FROM:<a@b>',
  ])
})

test('credentials in the wrong place are not shown', () => {
  const said = [
    ['AUTH LOGIN', secret],
    ['AUTH LOGIN', 'RSET', secret],
    [` AUTH PLAIN ${secret}`],
    [`AUTH\tPLAIN\t${secret}`],
    ['AUTH', secret],
    [`XAUTH ${secret}`],
  ]
  for (const lines of said) assert.doesNotMatch(shown(lines).join('\n'), new RegExp(secret), lines.join())
})

test('of a line of an exchange nothing is shown', () => {
  const out: string[] = []
  const conversation = new ClientConversation((from, text) => out.push(from + text))
  conversation.heard(Buffer.from('MAIL FROM:<a@b>'), true)
  conversation.said('235 Ok\r\n')
  assert.deepEqual(out, ['C*hidden*\r\n', 'S235 Ok\r\n'])
})
