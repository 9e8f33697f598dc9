/** A command with several programs, told apart by the first word, as in `linktool encode`. */
import { nearWord } from '../process/near-word.ts'
import type { OptionTable } from '../process/option.ts'
import { run, type RunnableProgram } from '../process/run.ts'
import { type ProcessName, SettingsError } from '../process/settings.ts'

export interface Subcommand {
  readonly word: string
  /** One line for the list of subcommands. */
  readonly summary: string
  readonly run: (argv: readonly string[]) => Promise<void>
}

/**
 * A program as a subcommand.
 * @param load so that one program need not wait for what only others need
 */
export function subcommand<Table extends OptionTable>(
  word: string,
  summary: string,
  load: () => Promise<RunnableProgram<Table>>,
): Subcommand {
  return {
    word,
    summary,
    run: async argv => run({ ...(await load()), subcommand: word, logTo: 'stderr' }, argv),
  }
}

/**
 * Runs the program that the first word names. Without one, or with an unknown one, `--help` and `--version` still
 * work; all else is refused with exit code 2 and the nearest word.
 */
export async function runSubcommand(
  name: ProcessName,
  about: string,
  subcommands: readonly Subcommand[],
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const [word, ...rest] = argv
  const chosen = subcommands.find(subcommand => subcommand.word === word)
  if (chosen) {
    await chosen.run(rest)
    return
  }
  const widest = Math.max(...subcommands.map(({ word }) => word.length))
  const list = subcommands.map(({ word, summary }) => `  ${word.padEnd(widest)}  ${summary}`).join('\n')
  await run(
    {
      name,
      manual: `${about.trim()}\n\n${list}\n\nnode cmd/${name}.ts WORD --help says more.`,
      options: {},
      operands: '[words...]',
      logTo: 'stderr',
      validate: () => {
        throw new SettingsError(refusal(word, subcommands))
      },
      start: async () => ({ close: async () => undefined }),
    },
    argv,
  )
}

function refusal(word: string | undefined, subcommands: readonly Subcommand[]): string {
  const words = subcommands.map(subcommand => subcommand.word)
  if (word === undefined || word.startsWith('-')) return `expected one of ${words.join(', ')} as the first word`
  const near = nearWord(word, words)
  const hint = near === undefined ? words.join(', ') : `did you mean ${near}?`
  return `unknown subcommand ${JSON.stringify(word)}: ${hint}`
}
