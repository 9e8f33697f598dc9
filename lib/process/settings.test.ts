import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { flag, hostPort, integer, listOf, option, text } from './option.ts'
import { Asked, readSettings, SettingsError } from './settings.ts'

const program = {
  name: 'wrapper',
  manual: 'Does things.\n\nIn two paragraphs.',
  options: {
    'in-hostport': option(hostPort, { help: 'Where it listens.', default: 'localhost:587' }),
    'track-open': option(flag, { help: 'Track opens.', default: 'true' }),
    limit: option(integer(0, 1000), { help: 'A number.', default: '1' }),
    names: option(listOf(text), { help: 'Some names.' }),
    'api-key': option(text, { help: 'The key.', secret: true }),
    pin: option(integer(0, 9999), { help: 'A secret number.', secret: true }),
  },
} as const

let dir: string
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'settings-'))
})
after(() => rmSync(dir, { recursive: true }))

function read(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return readSettings(program, argv, env, '1.2.3')
}

let files = 0
function yaml(content: string): string {
  const file = join(dir, `${files++}.yaml`)
  writeFileSync(file, content)
  return file
}

/** The message that is shown for these words. */
function refusal(argv: readonly string[], env: Readonly<Record<string, string>> = {}): string {
  try {
    read(argv, env)
  } catch (error) {
    assert.ok(error instanceof SettingsError, String(error))
    return error.message
  }
  return 'nothing was refused'
}

test('an option counts before the environment, that before the file, that before the default', () => {
  const file = yaml('limit: 2\nwrapper:\n  limit: 3\n')
  assert.equal(read([]).settings.limit, 1)
  assert.equal(read(['--config', yaml('limit: 2\n')]).settings.limit, 2)
  assert.equal(read(['--config', file]).settings.limit, 3)
  assert.equal(read(['--config', file], { WRAPPER_LIMIT: '4' }).settings.limit, 4)
  assert.equal(read(['--config', file, '--limit', '5'], { WRAPPER_LIMIT: '4' }).settings.limit, 5)
  assert.equal(read([], { WRAPPER_CONFIG: file }).settings.limit, 3)
})

test('an empty environment variable counts as absent', () => {
  assert.equal(read([], { WRAPPER_LIMIT: '' }).settings.limit, 1)
})

const spellings: readonly (readonly string[])[] = [
  ['--in-hostport', ':25'],
  ['--in-hostport=:25'],
  ['-in_hostport', ':25'],
  ['-in-hostport=:25'],
  ['--in_hostport=:25'],
  ['-in_hostport=:25'],
]
for (const words of spellings) {
  test(`the spelling ${words.join(' ')} is understood`, () => {
    assert.deepEqual(read(words).settings.inHostport, { host: '', port: 25 })
  })
}

const flags: readonly (readonly [string, boolean])[] = [
  ['--track-open', true],
  ['--no-track-open', false],
  ['--track-open=false', false],
  ['--track_open=off', false],
  ['-track_open=0', false],
  ['--no_track_open', false],
  ['--track-open=yes', true],
]
for (const [word, value] of flags) {
  test(`${word} means ${value}`, () => assert.equal(read([word]).settings.trackOpen, value))
}

test('the last of a repeated option counts', () => {
  assert.equal(read(['--limit', '5', '--limit=6']).settings.limit, 6)
  assert.equal(read(['--no-track-open', '--track-open']).settings.trackOpen, true)
})

test('a value is taken as it is, also one that looks like an option', () => {
  assert.equal(read(['--api-key', '-Xy_z-_']).settings.apiKey, '-Xy_z-_')
  assert.equal(read(['--api-key=--limit_x']).settings.apiKey, '--limit_x')
  assert.equal(read(['-api_key', '-']).settings.apiKey, '-')
  assert.equal(read(['--api-key', 'a=b\nc']).settings.apiKey, 'a=b\nc')
})

test('a list is separated by commas, or a sequence in the file', () => {
  assert.deepEqual(read(['--names', 'a, b']).settings.names, ['a', 'b'])
  assert.deepEqual(read(['--config', yaml('names: [a, b]\n')]).settings.names, ['a', 'b'])
  assert.deepEqual(read(['--config', yaml('names:\n  - a\n  - b\n')]).settings.names, ['a', 'b'])
  assert.equal(read([]).settings.names, undefined)
})

test('a value in the file is taken as it is written', () => {
  assert.equal(read(['--config', yaml('api-key: 00123\n')]).settings.apiKey, '00123')
  assert.equal(read(['--config', yaml('api-key: 1e5\n')]).settings.apiKey, '1e5')
  assert.equal(read(['--config', yaml('api-key: "00123"\n')]).settings.apiKey, '00123')
  assert.equal(read(['--config', yaml('api_key: key # with a comment\n')]).settings.apiKey, 'key')
  assert.equal(read(['--config', yaml('track-open: off\n')]).settings.trackOpen, false)
})

test('sections of other processes are left alone, also what is wrong in them', () => {
  const file = yaml('limit: 7\ntracker:\n  anything: [1, {x: 2}]\nagent:\nwrapper:\n')
  assert.equal(read(['--config', file]).settings.limit, 7)
})

test('from a section that it borrows from a program takes its own options only, under its own section', () => {
  const borrower = { ...program, name: 'linktool', borrowsFrom: 'wrapper' } as const
  const content = 'wrapper:\n  limit: 3\n  pin: 7\n  logfile: theirs.log\n  anything: [{x: 2}]\nlinktool:\n  pin: 8\n'
  const { settings } = readSettings(borrower, ['--config', yaml(content)], {}, '1.2.3')
  assert.deepEqual([settings.limit, settings.pin, settings.logfile], [3, 8, undefined])
})

test('an empty file is a good file', () => {
  assert.equal(read(['--config', yaml('')]).settings.limit, 1)
  assert.equal(read(['--config', yaml('# nothing\n')]).settings.limit, 1)
})

const refusals: readonly (readonly [what: string, argv: readonly string[], message: RegExp])[] = [
  ['an unknown option', ['--in-hostprt=:25'], /^unknown option '--in-hostprt'\. Did you mean --in-hostport\?$/],
  ['a bad value', ['--limit', 'many'], /^option --limit: limit "many": expected a whole number from 0 to 1000$/],
  ['a value that is missing', ['--limit'], /--limit <N>' argument missing/],
  ['a bad flag', ['--track-open=perhaps'], /--track-open "perhaps": expected true or false/],
  ['an operand', ['here'], /^expected no words beside options, but there is 1;/],
]
for (const [what, argv, message] of refusals) {
  test(`${what} is refused with its name and the fix`, () => assert.match(refusal(argv), message))
}

const fileRefusals: readonly (readonly [what: string, content: string, message: RegExp])[] = [
  ['text that is not YAML', 'limit: 1\nnames: [a\nx: y\n', /\.yaml:\d+: not valid YAML/],
  ['a name given twice', 'limit: 1\nlimit: 2\n', /\.yaml:2: limit stands here for the second time/],
  ['a list', '- limit\n', /\.yaml:1: expected lines of the form name: value/],
  ['an unknown name', '# first\nlimt: 1\n', /\.yaml:2: unknown setting "limt"\. Did you mean limit\?$/],
  [
    'an unknown name in the section',
    'wrapper:\n  in_hostprt: 1\n',
    /\.yaml:2: unknown setting "in_hostprt" of wrapper\. Did you mean in-hostport\?/,
  ],
  ['a name that resembles none', 'xyzzy-plugh: 1\n', /unknown setting "xyzzy-plugh"\.$/],
  ['the name of a file in the file', 'config: other.yaml\n', /unknown setting "config"/],
  ['a bad value', 'limit: many\n', /\.yaml:1: limit "many": expected a whole number/],
  ['no value', 'limit:\n', /\.yaml:1: limit: expected a value/],
  ['a map as value', 'limit: {a: 1}\n', /\.yaml:1: limit: expected a value/],
  ['a section that is no map', 'wrapper: 5\n', /\.yaml:1: wrapper: expected settings/],
  ['an alias', 'limit: &a 5\nnames: *a\n', /\.yaml:2: names: expected a value/],
]
for (const [what, content, message] of fileRefusals) {
  test(`${what} in the file is refused with its line`, () =>
    assert.match(refusal(['--config', yaml(content)]), message))
}

test('a file that is not there is refused when it was asked for, and only then', () => {
  assert.match(refusal(['--config', join(dir, 'none.yaml')]), /none\.yaml can't be read \(ENOENT\)/)
  assert.match(refusal(['--config', dir]), /can't be read \(not a regular file\)/)
  const optional = { ...program, configFile: join(dir, 'none.yaml') }
  assert.equal(readSettings(optional, [], {}, '').settings.limit, 1)
})

test('a bad value in the environment names its variable', () => {
  assert.match(refusal([], { WRAPPER_LIMIT: 'x' }), /^environment variable WRAPPER_LIMIT: limit "x": expected/)
})

test('a secret is never repeated, wherever it came from', () => {
  const file = yaml('pin: SECRET\n')
  for (const message of [
    refusal(['--pin', 'SECRET']),
    refusal(['--pin=SECRET']),
    refusal([], { WRAPPER_PIN: 'SECRET' }),
    refusal(['--config', file]),
    refusal(['--api-kye=SECRET']),
    refusal(['-api_kye=SECRET=SECRET']),
    refusal(['--redis-url', 'SECRET']),
    refusal(['--redis-url=http://user:SECRET@host']),
    refusal(['--redis-url=redis://:SECRET@one:1,two:2']),
    refusal(['--redis-url=redis://:SECRET@host:99999']),
    refusal(['--redis-url=redis://:SECRET@host/queue']),
    refusal(['--redis-url=redis+sentinel://:SECRET@host:26379/main']),
    refusal(['--redis-url=unix:///redis.sock?db=SECRET']),
  ]) {
    assert.doesNotMatch(message, /SECRET/)
    assert.match(message, /pin|api-kye|redis-url/)
  }
})

test('a required setting that is missing is named with its meaning', () => {
  const demanding = { ...program, options: { 'out-hostport': option(hostPort, { help: 'Where to.', required: true }) } }
  assert.throws(() => readSettings(demanding, [], {}, ''), /--out-hostport HOST:PORT is required: Where to\./)
})

test('--help gives the manual, --version the version', () => {
  for (const words of [['--help'], ['-help'], ['-h'], ['--limit', 'bad', '--help']]) {
    assert.throws(
      () => read(words),
      (error: Error) =>
        error instanceof Asked &&
        /In two paragraphs[\s\S]*--in-hostport <HOST:PORT>[\s\S]*WRAPPER_IN_HOSTPORT/.test(error.message),
      words.join(' '),
    )
  }
  assert.throws(() => read(['--version']), { name: 'Asked', message: '1.2.3' })
})

test('--check is told', () => {
  assert.equal(read(['--check']).check, true)
  assert.equal(read([]).check, false)
})

test('operands are handed on, also after --', () => {
  const taking = { ...program, operands: '[file...]' }
  assert.deepEqual(readSettings(taking, ['a', '--limit', '2', '--', '--limit'], {}, '').operands, ['a', '--limit'])
})
