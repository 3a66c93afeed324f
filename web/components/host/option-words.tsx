/** A sentence that names options of the command line: a line never breaks within one. */
export function OptionWords({ words }: { readonly words: string }) {
  return (
    <>
      {words.split(/(--[a-z][a-z-]*)/).map((part, i) =>
        part.startsWith('--') ? (
          <span key={i} class="nowrap">
            {part}
          </span>
        ) : (
          part
        ),
      )}
    </>
  )
}
