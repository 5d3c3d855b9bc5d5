// Explains why the addon could not be loaded and what to do. A pure function of what was observed.

const buildIt = 'build it from source: see "Building" in the README'
const useClient =
  'run `npx cosmos-embed serve` on a machine that has it, and call it from here with createClient of "cosmos-embed/client", ' +
  'which needs no addon'

// Each returns a remedy, or a falsy value if it does not apply. `output` has the codes and messages of all attempts.
const remedies = [
  ({ platform, arch, libc }) => {
    if (platform !== 'linux' || !['x64', 'arm64'].includes(arch)) {
      return `cosmos-embed runs on Linux, x64 and arm64; this is ${platform} ${arch}. Use a Linux machine or container, or ${useClient}.`
    }
    return (
      libc === 'musl' &&
      `The prebuilt addon needs glibc and this system has musl (Alpine). Use a Debian image, ${buildIt}, or ${useClient}.`
    )
  },
  ({ node, engines }) =>
    !satisfies(node, engines) && `Node.js ${node} is not supported; ${engines} is. Install one of those.`,
  ({ override, output }) =>
    override &&
    /MODULE_NOT_FOUND|no such file/i.test(output) &&
    `COSMOS_EMBED_ADDON is set to ${override}, which cannot be found. Correct it, or unset it to use the packaged addon.`,
  ({ output }) =>
    /ERR_DLOPEN_DISABLED/.test(output) &&
    'Node.js was told to load no addons. Run it without --no-addons (look in NODE_OPTIONS too), or with --allow-addons ' +
      'under the permission model.',
  ({ output, platform, arch }) => {
    const [, library, file, major] =
      /((lib[\w+-]+)\.so\.(\d+)\S*): cannot open shared object file/.exec(output) ?? []
    if (!library) return
    if (file.endsWith('-cosmos') || file === 'libonnxruntime') {
      return (
        `The package is incomplete: its ${library} is missing. Reinstall cosmos-embed here; where files are copied or ` +
        `bundled, copy the whole folder prebuilds/${platform}-${arch}.`
      )
    }
    return /^lib(av|sw)/.test(file)
      ? `FFmpeg's ${library} is not installed. Debian, Ubuntu: apt-get install ${file}${major}. Where the system has ` +
          `another FFmpeg, ${buildIt}.`
      : `The library ${library} is not installed. Install the package of your system that contains it.`
  },
  ({ output, libc }) => {
    const [required] = /\b(GLIBC|GLIBCXX|CXXABI)_[\d.]+(?=\S* not found)/.exec(output) ?? []
    return (
      required &&
      `The addon needs ${required} and this system (${libc}) is older. Update the system or its libstdc++, or ${buildIt}.`
    )
  },
  ({ output }) =>
    /VERSION_MISMATCH/.test(output) &&
    'The addon and the JavaScript have different versions. Reinstall the package; in a checkout, run npm run build.',
  ({ output, arch, libc }) => {
    if (!/NO_BUILD/.test(output) || libc === 'musl') return
    return arch === 'arm64'
      ? 'The npm package contains the addon for x64. For arm64, unpack linux-arm64.tar.gz of the same release into its ' +
          'folder prebuilds; in a checkout, run npm run build.'
      : 'The package holds no addon for this machine: node_modules came from another platform, or a bundler left the ' +
          'file out (mark cosmos-embed as external). Reinstall here; in a checkout, run npm run build.'
  },
  ({ output }) =>
    /invalid ELF header|wrong ELF class|file too short|is cut short|Exec format error|not a mach-o/i.test(
      output,
    ) && 'The file is damaged or was built for another machine. Reinstall the package here.',
  ({ output }) =>
    /undefined symbol/.test(output) &&
    `The addon was built against another version of a library than the one found. Reinstall the package, or ${buildIt}.`,
  ({ output }) =>
    /failed to map segment|Operation not permitted/.test(output) &&
    'The file is on a file system that is mounted noexec. Install the package elsewhere.',
]

/** A NativeFailure with code `library`. Its `cause` is the error of the last attempt. */
export function explainLoadFailure(failure) {
  const { attempts, platform, arch, libc, node } = failure
  const output = attempts.map(({ error }) => `${error.code ?? ''} ${error.message}`).join('\n')
  const advice = remedies.map((remedy) => remedy({ ...failure, output })).filter(Boolean)
  const lines = [
    `The native addon of cosmos-embed could not be loaded (${[platform, arch, libc].filter(Boolean).join(' ')}, Node.js ${node}).`,
    'Tried:',
    ...attempts.map(({ path, error }) => `  ${path}\n    ${reason(error)}`),
  ]
  if (advice.length > 0) lines.push('Possible causes and remedies:', ...advice.map((text) => `  - ${text}`))
  return Object.assign(new Error(lines.join('\n'), { cause: attempts.at(-1).error }), {
    code: 'library',
    details: { platform, arch, libc, node, tried: attempts.map(({ path }) => path).join(', ') },
  })
}

/** The first line of the message; Node appends a list of requiring files. */
function reason({ message }) {
  return message.split('\n')[0]
}

/** The part of semver that package.json's engines need: alternatives of `^a.b.c` and `>=a.b.c`. */
function satisfies(version, range) {
  const [major, minor] = version.split('.').map(Number)
  return range.split('||').some((alternative) => {
    const [, operator, wantedMajor, wantedMinor] = /(\^|>=)(\d+)\.(\d+)/.exec(alternative)
    if (major === Number(wantedMajor)) return minor >= Number(wantedMinor)
    return operator === '>=' && major > Number(wantedMajor)
  })
}
