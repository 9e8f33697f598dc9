import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remoteReply } from './remote-reply.ts'

const cases: readonly [string, string, ReturnType<typeof remoteReply>][] = [
  [
    'smtp;550 5.1.1 no such user',
    '5.1.1 (bad destination mailbox address)',
    { code: 550, enhancedStatus: '5.1.1', text: '550 5.1.1 no such user' },
  ],
  ['SMTP; 250-ok', '2.0.0 (success)', { code: 250, enhancedStatus: '2.0.0', text: '250-ok' }],
  ['smtp;421', '', { code: 421, enhancedStatus: undefined, text: '421' }],
  // No server spoke, or none that speaks SMTP.
  ['', '5.1.2 (no such domain)', { code: undefined, enhancedStatus: '5.1.2', text: '5.1.2 (no such domain)' }],
  ['x-unix; 550 no', '5.0.0', { code: undefined, enhancedStatus: '5.0.0', text: '550 no' }],
  ['550 no type', '5.0.0 (x)', { code: undefined, enhancedStatus: '5.0.0', text: '550 no type' }],
  // No reply codes, RFC 5321 section 4.2.
  ['smtp;123 what', '9.9.9 (x)', { code: undefined, enhancedStatus: undefined, text: '123 what' }],
  ['smtp;5501 what', '5.1.1234', { code: undefined, enhancedStatus: undefined, text: '5501 what' }],
]
test('remoteReply takes code, enhanced status and words apart', () => {
  for (const [diag, status, expected] of cases) assert.deepEqual(remoteReply(diag, status), expected)
})
