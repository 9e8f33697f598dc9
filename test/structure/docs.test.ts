/** What the pages say exists: options, environment variables, files, links between pages, commands of package.json. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, resolve } from 'node:path'
import { test } from 'node:test'
import { consoleOptions } from '../../lib/console/options.ts'
import { acctEtlOptions } from '../../lib/event/accounting/options.ts'
import { trackerOptions } from '../../lib/event/engagement/options.ts'
import { inspectOptions } from '../../lib/event/maillog/options.ts'
import { feederOptions } from '../../lib/event/upload/feeder-options.ts'
import { wrapperOptions } from '../../lib/message/smtp/options.ts'
import { commonOptions } from '../../lib/process/common-options.ts'

const root = resolve(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md', ...globSync('{docs,config}/**/*.md', { cwd: root })]
/** Files that speak of options and files beside the pages: examples and the manuals that `--help` prints. */
const texts = [...pages, ...globSync('{config/**/*.{yaml,conf,example},cmd/*.ts,cronfile}', { cwd: root })]

/** Options that are declared elsewhere than in a table of a process. */
const declaredIn = ['scripts/pipeline.ts', ...globSync('lib/linktool/*.ts', { cwd: root })].flatMap(path =>
  [...read(path).matchAll(/^ +'?([a-z][\w-]*)'?: option\(/gm)].map(match => match[1]!),
)
const options = new Set([
  ...[
    consoleOptions,
    acctEtlOptions,
    trackerOptions,
    inspectOptions,
    feederOptions,
    wrapperOptions,
    commonOptions,
  ].flatMap(table => Object.keys(table)),
  ...declaredIn,
  ...['help', 'version', 'check'],
])
/** Of other programs that the pages name (node, logrotate, swaks), and the delimiter in an example. */
const foreign = new Set([
  'max-semi-space-size',
  'concurrent-recompilation',
  'state',
  'server',
  'to',
  'header',
  'add-header',
  'body',
  'boundary',
])

test('every option that is written about exists', () => {
  const unknown = texts.flatMap(path =>
    [...read(path).matchAll(/(?<![\w-])--(?:no-)?([a-z][a-z-]*[a-z])(?![\w-]*…)/g)]
      .map(match => match[1]!)
      .filter(name => !options.has(name) && !foreign.has(name))
      .map(name => `${path}: --${name}`),
  )
  assert.deepEqual(unknown, [])
})

/** Where the words of a text that look like a path may lead: beside it, below the root, or (`../queue`) beside a folder of lib. */
function leads(path: string, from: string): boolean {
  return [path, join(dirname(from), path), join('lib', path), join('lib/event', path)].some(candidate =>
    existsSync(join(root, candidate)),
  )
}

test('every file and folder that is written about is there', () => {
  const gone = texts.flatMap(path =>
    [...read(path).matchAll(/(?<![\w/.:-])((?:\.\.?\/)?(?:lib|cmd|docs|config|scripts|test|bench)\/[\w./-]*\w)/g)]
      .map(match => match[1]!)
      // Made by the user, or where a path stops before a pattern (`cmd/*.ts`).
      .filter(found => !/^config\/mta-tracking\.yaml$/.test(found) && !leads(normalize(found), path))
      .map(found => `${path}: ${found}`),
  )
  assert.deepEqual(gone, [])
})

test('every link in a page leads to a file', () => {
  const broken = pages.flatMap(path =>
    [...read(path).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)]
      .map(match => match[1]!)
      .filter(target => !existsSync(join(root, dirname(path), target)))
      .map(target => `${path}: ${target}`),
  )
  assert.deepEqual(broken, [])
})

test('every npm command and benchmark that is written about exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  const unknown = pages.flatMap(path =>
    [
      ...[...read(path).matchAll(/npm run ([a-z]+)/g)].filter(([, name]) => !scripts[name!]),
      ...[...read(path).matchAll(/npm run bench ([a-z_-]+)/g)].filter(
        ([, name]) => !existsSync(join(root, `bench/${name}.ts`)),
      ),
    ].map(([found]) => `${path}: ${found}`),
  )
  assert.deepEqual(unknown, [])
})

test('every folder of lib has its line in ARCHITECTURE.md', () => {
  const architecture = read('ARCHITECTURE.md')
  const missing = globSync('lib/{*,event/*,message/*}', { cwd: root, withFileTypes: true })
    .filter(entry => entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name).slice(root.length + 1))
    .filter(folder => !['lib/event', 'lib/message'].includes(folder))
    .filter(
      folder => !architecture.includes(`\`${folder}\``) && !architecture.includes(`\`${folder.split('/').at(-1)}\``),
    )
  assert.deepEqual(missing, [])
})
