import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bytes,
  camelCase,
  duration,
  flag,
  formatHostPort,
  hostPort,
  trackingUrl,
  integer,
  type Kind,
  listOf,
  network,
  oneOf,
  text,
  wait,
} from './option.ts'

const cases: readonly (readonly [
  name: string,
  kind: Kind<unknown>,
  good: readonly (readonly [string, unknown])[],
  bad: readonly string[],
])[] = [
  ['text', text, [[' x ', ' x ']], ['']],
  [
    'flag',
    flag,
    [
      ['true', true],
      ['YES', true],
      ['on', true],
      ['1', true],
      ['False', false],
      ['no', false],
      ['off', false],
      ['0', false],
    ],
    ['', '2', 'maybe'],
  ],
  [
    'integer',
    integer(-5, 500),
    [
      ['0', 0],
      ['-5', -5],
      ['500', 500],
      ['007', 7],
    ],
    ['', '501', '-6', '1.5', '1e2', '0x10', ' 5', '9'.repeat(40)],
  ],
  ['oneOf', oneOf('a', 'b'), [['a', 'a']], ['', 'A', 'c', 'a,b']],
  [
    'listOf',
    listOf(integer(0, 9)),
    [
      ['1,2', [1, 2]],
      [' 1 , 2 ,', [1, 2]],
      ['', []],
    ],
    ['1;2', '1,10'],
  ],
  [
    'bytes',
    bytes,
    [
      ['5000000', 5e6],
      ['100 MB', 1e8],
      ['25MiB', 25 * 2 ** 20],
      ['1.5kb', 1500],
      ['0', 0],
    ],
    ['', '-1', 'MB', '5XB', '1e6', '5 M B', '2000000GB'],
  ],
  [
    'duration',
    duration,
    [
      ['500ms', 500],
      ['30', 30_000],
      ['1.5h', 5_400_000],
      ['5d', 432_000_000],
      ['2 m', 120_000],
    ],
    ['', '-1s', '1w', 's', '1:30', '3651d', '999999999d'],
  ],
  [
    'wait',
    wait,
    [
      ['24d', 2_073_600_000],
      ['0', 0],
    ],
    ['25d', '601h', '-1s'],
  ],
  [
    'hostPort',
    hostPort,
    [
      ['127.0.0.1:25', { host: '127.0.0.1', port: 25 }],
      [':8888', { host: '', port: 8888 }],
      ['[::1]:25', { host: '::1', port: 25 }],
      ['mx.example.com:0', { host: 'mx.example.com', port: 0 }],
    ],
    ['', '25', 'host', 'host:', 'host:65536', '::1:25', 'a b:1', 'http://x:1', 'host:1:2', 'host:-1'],
  ],
  [
    'trackingUrl',
    trackingUrl,
    [
      ['https://track.example.com', 'https://track.example.com'],
      ['http://127.0.0.1:8888//', 'http://127.0.0.1:8888'],
      ['HTTPS://X.example/a', 'HTTPS://X.example/a'],
    ],
    [
      '',
      'tracker.invalid',
      'ftp://x.example',
      'http://',
      ' https://x.example',
      'https://x.example/a b',
      'javascript:alert(1)',
      'https://track.example.com/?a',
      'https://track.example.com/#a',
      'https://user@track.example.com',
      'https://:pw@track.example.com',
      'https://track.example.com/"',
      'https://track.example.com/\r\n',
      'https://bücher.example',
    ],
  ],
  [
    'network',
    network,
    [
      ['10.0.0.0/8', { isV6: false, words: [0, 0, 0, 0x0a00_0000], bits: 8 }],
      ['::1', { isV6: true, words: [0, 0, 0, 1], bits: 128 }],
    ],
    ['', '10.0.0.0/33', '::/129', '999.1.1.1', '10/8', '10.1.0.0/', '10.0.0.0/8/8', 'example.com', '10.0.0.0/-1'],
  ],
]

for (const [name, kind, good, bad] of cases) {
  for (const [value, expected] of good) {
    test(`${name} reads ${JSON.stringify(value)}`, () => assert.deepEqual(kind.read(value), expected))
  }
  for (const value of bad) {
    test(`${name} refuses ${JSON.stringify(value).slice(0, 40)} and does not repeat it`, () => {
      assert.throws(
        () => kind.read(value),
        (error: Error) => error.message.startsWith('expected') && (value.length < 8 || !error.message.includes(value)),
      )
    })
  }
}

test('formatHostPort inverts hostPort', () => {
  for (const value of ['127.0.0.1:25', '[::1]:25', ':8888', 'mx.example.com:587']) {
    assert.equal(formatHostPort(hostPort.read(value)), value)
  }
})

test('camelCase names a setting', () => assert.equal(camelCase('in-hostport-x'), 'inHostportX'))
