/**
 * Reads the settings of a process from the command line, the environment, a YAML file and the declared defaults, in
 * this order of precedence. Pure but for reading the file: nothing is printed, no process is ended.
 */
import { createRequire } from 'node:module'
import { Command, CommanderError, Option as CommanderOption } from 'commander'
import type * as Yaml from 'yaml'
import { readNamedFile } from './named-file.ts'
import { nearWord } from './near-word.ts'
import { camelCase, flag, type Option, type OptionTable, type Settings } from './option.ts'
import { commonOptions, type CommonOptions } from './common-options.ts'

/** The names that may head a section in a configuration file shared by the whole pipeline. */
const processNames = ['wrapper', 'tracker', 'acct_etl', 'feeder', 'agent', 'linktool', 'console', 'pipeline'] as const
export type ProcessName = (typeof processNames)[number]

/** What a program is and takes. */
export interface Program<Table extends OptionTable> {
  readonly name: ProcessName
  /** Word that selects this program among several of one command, as in `linktool encode`. */
  readonly subcommand?: string
  /** How it is called, when it is not `node cmd/NAME.ts`. */
  readonly calledAs?: string
  /** The manual: what it does and how it is used; `--help` prints it before the options. */
  readonly manual: string
  readonly options: Table
  /** Operands beside the options, as in `[file...]` or `<action> [id]`. None when absent. */
  readonly operands?: string
  /** Configuration file that is read when it exists and `--config` is not given. */
  readonly configFile?: string
  /** Another process whose section of the file counts too, for the options that this one declares itself; its own section wins. */
  readonly borrowsFrom?: ProcessName
  /**
   * Options that every process knows (but --config) are not taken from the command line: the program has no use for
   * them, they may only stand in the file, for others.
   */
  readonly ownOptionsOnly?: true
}

/** A program's own options over those that every process knows. */
export type WithCommon<Table extends OptionTable> = Omit<CommonOptions, keyof Table> & Table

export interface CommandLine<Table extends OptionTable> {
  readonly settings: Settings<WithCommon<Table>>
  readonly operands: readonly string[]
  /** Validate only. */
  readonly check: boolean
}

/** The user asked for text (`--help`, `--version`); print it and end well. */
export class Asked extends Error {
  override readonly name = 'Asked'
}

/** A setting is unknown, missing or bad. The message names where it came from, the setting and the fix. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError'
}

interface Found {
  readonly text: string
  readonly from: string
}

/**
 * @param argv the words after the script's name
 * @throws {Asked} for `--help` and `--version`
 * @throws {SettingsError} at the first setting that is unknown, missing or bad
 */
export function readSettings<Table extends OptionTable>(
  program: Program<Table>,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
  version: string,
): CommandLine<Table> {
  // Its own first: that is the order of --help.
  const table: OptionTable = { ...program.options, ...commonBeside(program.options) }
  const line: OptionTable = program.ownOptionsOnly ? { ...program.options, config: commonOptions.config } : table
  const command = declare(program, line, version)
  try {
    command.parse(normalise(argv, line), { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) throw new Asked(helpOrVersion(error, command, version))
    if (error.code === 'commander.unknownOption') throw new SettingsError(unknownOption(error.message, line))
    if (error.code === 'commander.excessArguments') throw new SettingsError(excessWords(command, program))
    throw new SettingsError(error.message.replace(/^error: /, ''))
  }
  const given = command.opts<Record<string, string | boolean | undefined>>()
  const fromLine = (name: string): Found | undefined => {
    const value = given[camelCase(name)]
    return value === undefined ? undefined : { text: String(value), from: `option --${name}` }
  }
  const fromEnv = (name: string, option: Option<unknown>): Found | undefined => {
    const variable = environmentName(program.name, name, option)
    const value = env[variable]
    return value === undefined || value === '' ? undefined : { text: value, from: `environment variable ${variable}` }
  }
  const configOption = commonOptions.config
  const configFile = (fromLine('config') ?? fromEnv('config', configOption))?.text
  const file = readConfigFile(program, table, configFile ?? program.configFile, configFile !== undefined)

  const settings: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(table)) {
    const found = fromLine(name) ?? fromEnv(name, option) ?? file.get(name)
    settings[camelCase(name)] = readOption(name, option, found)
  }
  return {
    settings: settings as unknown as Settings<WithCommon<Table>>,
    operands: command.args,
    check: given['check'] === true,
  }
}

/** `WRAPPER_IN_HOSTPORT` for the wrapper's `in-hostport`, unless the option names its own variable. */
function environmentName(process: ProcessName, name: string, option: Option<unknown>): string {
  return option.env ?? `${process}_${name}`.replaceAll('-', '_').toUpperCase()
}

function readOption(name: string, option: Option<unknown>, found: Found | undefined): unknown {
  if (found === undefined && option.default === undefined) {
    if (option.required) throw new SettingsError(`--${name} ${option.kind.placeholder} is required: ${option.help}`)
    return undefined
  }
  try {
    return option.kind.read(found?.text ?? option.default ?? '')
  } catch (error) {
    const value = option.secret || found === undefined ? '' : ` ${JSON.stringify(found.text)}`
    throw new SettingsError(`${found?.from ?? `default of ${name}`}: ${name}${value}: ${(error as Error).message}`)
  }
}

/** The common options that the program does not declare itself. */
function commonBeside(own: OptionTable): OptionTable {
  return Object.fromEntries(Object.entries(commonOptions).filter(([name]) => own[name] === undefined))
}

function declare(program: Program<OptionTable>, table: OptionTable, version: string): Command {
  const command = new Command()
  const call = program.calledAs ?? `node cmd/${program.name}.ts`
  command.name(program.subcommand ? `${call} ${program.subcommand}` : call)
  command.description(program.manual.trim())
  command.version(version, '--version', 'print the version')
  command.helpOption('--help', 'print this manual')
  command.exitOverride().configureOutput({ writeOut: () => undefined, writeErr: () => undefined })
  command.configureHelp({ helpWidth: 120 })
  if (program.operands) command.arguments(program.operands)
  else command.allowExcessArguments(false)
  for (const [name, option] of Object.entries(table)) {
    const placeholder = option.kind === flag ? '' : ` <${option.kind.placeholder}>`
    const notes = [
      ...(option.default === undefined
        ? []
        : [`default: ${option.kind === flag ? onOff(option.default) : option.default}`]),
      ...(option.required ? ['required'] : []),
      `environment: ${environmentName(program.name, name, option)}`,
    ]
    command.addOption(new CommanderOption(`--${name}${placeholder}`, `${option.help} (${notes.join('; ')})`))
    if (option.kind === flag) command.addOption(new CommanderOption(`--no-${name}`).hideHelp())
  }
  command.addOption(new CommanderOption('--check', 'validate the configuration and end: 0 when it is good, else 1'))
  return command
}

function onOff(value: string): string {
  return flag.read(value) ? 'on' : 'off'
}

function helpOrVersion(error: CommanderError, command: Command, version: string): string {
  return error.code === 'commander.version' ? version : command.helpInformation()
}

/** Older spellings: `-in_hostport X`, `--in_hostport=X`, `--track-open=false`, `-h`. */
function normalise(argv: readonly string[], table: OptionTable): string[] {
  const words: string[] = []
  let isValue = false
  for (const [index, word] of argv.entries()) {
    if (isValue) {
      // Whatever it looks like: a key may well begin with a dash.
      words.push(word)
      isValue = false
      continue
    }
    if (word === '--') return [...words, ...argv.slice(index)]
    const match = /^--?([A-Za-z][\w-]*)(=.*)?$/s.exec(word)
    if (!match?.[1]) {
      words.push(word)
      continue
    }
    const name = match[1] === 'h' ? 'help' : match[1].replaceAll('_', '-')
    const value = match[2]
    const kind = table[name]?.kind
    if (value !== undefined && kind === flag) {
      words.push(readFlagWord(name, value.slice(1)))
    } else words.push(`--${name}${value ?? ''}`)
    isValue = value === undefined && kind !== undefined && kind !== flag
  }
  return words
}

function readFlagWord(name: string, value: string): string {
  try {
    return flag.read(value) ? `--${name}` : `--no-${name}`
  } catch (error) {
    throw new SettingsError(`option --${name} ${JSON.stringify(value)}: ${(error as Error).message}`)
  }
}

/**
 * The settings in a YAML file that are meant for this process: those at the top, and over them those in the section
 * that bears its name. Sections of other processes are theirs to judge, but for what is borrowed from one.
 */
function readConfigFile(
  { name: process, borrowsFrom, options }: Program<OptionTable>,
  table: OptionTable,
  file: string | undefined,
  mustExist: boolean,
): ReadonlyMap<string, Found> {
  const found = new Map<string, Found>()
  if (file === undefined) return found
  let source: string
  try {
    source = readNamedFile(file).toString()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && !mustExist) return found
    throw new SettingsError(
      `--config: configuration file ${file} can't be read (${code}): check the path and its permissions`,
    )
  }
  const { isMap, isScalar, isSeq, LineCounter, parseDocument } = loadYaml()
  const lines = new LineCounter()
  const document = parseDocument(source, { lineCounter: lines })
  const flaw = document.errors[0]
  if (flaw) {
    const line = flaw.linePos?.[0].line ?? 1
    const name = /^\s*([\w-]+)\s*:/.exec(source.split('\n')[line - 1] ?? '')?.[1]
    if (flaw.code === 'DUPLICATE_KEY' && name !== undefined) {
      throw new SettingsError(`${file}:${line}: ${name} stands here for the second time: remove one of the two`)
    }
    const what = (flaw.message.split('\n')[0] ?? '').replace(/ at line \d+, column \d+:$/, '')
    throw new SettingsError(`${file}:${line}: not valid YAML: ${what}`)
  }
  if (document.contents === null) return found
  if (!isMap(document.contents)) throw new SettingsError(`${file}:1: expected lines of the form name: value`)
  const where = (range: readonly [number, number, number] | null | undefined) =>
    `${file}:${lines.linePos(range?.[0] ?? 0).line}`

  const readMap = (map: Yaml.YAMLMap, section: string | undefined) => {
    for (const pair of map.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : ''
      const at = where(isScalar(pair.key) ? pair.key.range : undefined)
      const name = key.replaceAll('_', '-')
      if (section === undefined && (processNames as readonly string[]).includes(key)) {
        if (key !== process || pair.value === null || (isScalar(pair.value) && pair.value.value === null)) continue
        if (!isMap(pair.value)) throw new SettingsError(`${at}: ${key}: expected settings, one a line, indented`)
        continue
      }
      // What else stands there, such as a log file, is its owner's, also to judge.
      if (section !== undefined && section === borrowsFrom && options[name] === undefined) continue
      if (table[name] === undefined || name === 'config') throw new SettingsError(unknownName(at, key, section, table))
      const items: readonly unknown[] = isSeq(pair.value) ? pair.value.items : [pair.value]
      const texts = items.map(item => (isScalar(item) ? scalarText(item) : undefined))
      if (texts.every(text => text !== undefined)) found.set(name, { text: texts.join(','), from: at })
      else throw new SettingsError(`${at}: ${key}: expected a value`)
    }
  }
  readMap(document.contents, undefined)
  const borrowed = borrowsFrom === undefined ? undefined : document.contents.get(borrowsFrom)
  if (isMap(borrowed)) readMap(borrowed, borrowsFrom)
  const section = document.contents.get(process)
  if (isMap(section)) readMap(section, process)
  return found
}

/** Only where there is a file: it takes 40 ms and 9 MB. */
function loadYaml(): typeof Yaml {
  return createRequire(import.meta.url)('yaml') as typeof Yaml
}

function scalarText(node: Yaml.Scalar): string | undefined {
  const { value } = node
  // As it was written: YAML would read a key of digits as a number and drop the zeros in front.
  if (typeof value === 'number' && node.source !== undefined) return node.source
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined
}

/** Not repeated: a word too many may be a secret that lost its option, as in `--api-key = SECRET`. */
function excessWords(command: Command, { operands }: Program<OptionTable>): string {
  const expected = operands === undefined ? 'no words beside options' : `no more than ${operands}`
  return `expected ${expected}, but there ${command.args.length === 1 ? 'is 1' : `are ${command.args.length}`}; options are written --name VALUE or --name=VALUE`
}

/** Names the option without what follows it: that may be a secret meant for the right name. */
function unknownOption(message: string, table: OptionTable): string {
  const name = /'--?([^'=]*)/.exec(message)?.[1] ?? ''
  return `unknown option '--${name}'.${nearest(name, Object.keys(table), '--')}`
}

function unknownName(at: string, key: string, section: string | undefined, table: OptionTable): string {
  const names = [
    ...Object.keys(table).filter(name => name !== 'config'),
    ...(section === undefined ? processNames : []),
  ]
  return `${at}: unknown setting ${JSON.stringify(key)}${section ? ` of ${section}` : ''}.${nearest(key, names)}`
}

/** The name that was probably meant, as a question, when one is near. */
function nearest(name: string, names: readonly string[], prefix = ''): string {
  const near = nearWord(name, names)
  return near === undefined ? '' : ` Did you mean ${prefix}${near}?`
}
