/**
 * The character classes of BERT's text rules in Hugging Face's tokenizers 0.23.3. Written by
 * scripts/goldens/make_tokens.py, which queries that library for every character: its Unicode tables are older than Node's.
 * Each string is the inside of a character class in a regular expression.
 */

/** Characters that `clean_text` removes, and lone surrogates, which a Rust string cannot contain. */
export const removed: string =
  String.raw`\u{0}-\u{8}\u{b}-\u{c}\u{e}-\u{1f}\u{7f}-\u{9f}\u{ad}\u{600}-\u{605}\u{61c}\u{6dd}\u{70f}\u{180e}` +
  String.raw`\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2060}-\u{2064}\u{2066}-\u{206f}\u{e000}-\u{f8ff}\u{feff}` +
  String.raw`\u{fff9}-\u{fffb}\u{fffd}\u{110bd}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0001}\u{e0020}-\u{e007f}` +
  String.raw`\u{f0000}-\u{ffffd}\u{100000}-\u{10fffd}\ud800-\udfff`

/** Characters that `clean_text` replaces by a space. */
export const spaces: string = String.raw`\u{9}-\u{a}\u{d}\u{20}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}-\u{2029}\u{202f}\u{205f}\u{3000}`

/** Characters that `handle_chinese_chars` puts spaces around. */
export const han: string =
  String.raw`\u{3400}-\u{4dbf}\u{4e00}-\u{9fff}\u{f900}-\u{faff}\u{20000}-\u{2a6df}\u{2a700}-\u{2b81f}` +
  String.raw`\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}`

/** Marks that `strip_accents` removes after decomposition. */
export const accents: string =
  String.raw`\u{300}-\u{33f}\u{342}\u{345}-\u{36f}\u{483}-\u{487}\u{591}-\u{5bd}\u{5bf}\u{5c1}-\u{5c2}` +
  String.raw`\u{5c4}-\u{5c5}\u{5c7}\u{610}-\u{61a}\u{64b}-\u{65f}\u{670}\u{6d6}-\u{6dc}\u{6df}-\u{6e4}` +
  String.raw`\u{6e7}-\u{6e8}\u{6ea}-\u{6ed}\u{711}\u{730}-\u{74a}\u{7a6}-\u{7b0}\u{7eb}-\u{7f3}\u{816}-\u{819}` +
  String.raw`\u{81b}-\u{823}\u{825}-\u{827}\u{829}-\u{82d}\u{859}-\u{85b}\u{8e3}-\u{902}\u{93a}\u{93c}` +
  String.raw`\u{941}-\u{948}\u{94d}\u{951}-\u{957}\u{962}-\u{963}\u{981}\u{9bc}\u{9c1}-\u{9c4}\u{9cd}` +
  String.raw`\u{9e2}-\u{9e3}\u{a01}-\u{a02}\u{a3c}\u{a41}-\u{a42}\u{a47}-\u{a48}\u{a4b}-\u{a4d}\u{a51}` +
  String.raw`\u{a70}-\u{a71}\u{a75}\u{a81}-\u{a82}\u{abc}\u{ac1}-\u{ac5}\u{ac7}-\u{ac8}\u{acd}\u{ae2}-\u{ae3}` +
  String.raw`\u{b01}\u{b3c}\u{b3f}\u{b41}-\u{b44}\u{b4d}\u{b56}\u{b62}-\u{b63}\u{b82}\u{bc0}\u{bcd}\u{c00}` +
  String.raw`\u{c3e}-\u{c40}\u{c46}-\u{c47}\u{c4a}-\u{c4d}\u{c55}-\u{c56}\u{c62}-\u{c63}\u{c81}\u{cbc}\u{cbf}` +
  String.raw`\u{cc6}\u{ccc}-\u{ccd}\u{ce2}-\u{ce3}\u{d01}\u{d41}-\u{d44}\u{d4d}\u{d62}-\u{d63}\u{dca}` +
  String.raw`\u{dd2}-\u{dd4}\u{dd6}\u{e31}\u{e34}-\u{e3a}\u{e47}-\u{e4e}\u{eb1}\u{eb4}-\u{eb9}\u{ebb}-\u{ebc}` +
  String.raw`\u{ec8}-\u{ecd}\u{f18}-\u{f19}\u{f35}\u{f37}\u{f39}\u{f71}-\u{f72}\u{f74}\u{f77}\u{f79}-\u{f7e}` +
  String.raw`\u{f80}\u{f82}-\u{f84}\u{f86}-\u{f87}\u{f8d}-\u{f92}\u{f94}-\u{f97}\u{f99}-\u{f9c}\u{f9e}-\u{fa1}` +
  String.raw`\u{fa3}-\u{fa6}\u{fa8}-\u{fab}\u{fad}-\u{fb8}\u{fba}-\u{fbc}\u{fc6}\u{102d}-\u{1030}` +
  String.raw`\u{1032}-\u{1037}\u{1039}-\u{103a}\u{103d}-\u{103e}\u{1058}-\u{1059}\u{105e}-\u{1060}` +
  String.raw`\u{1071}-\u{1074}\u{1082}\u{1085}-\u{1086}\u{108d}\u{109d}\u{135d}-\u{135f}\u{1712}-\u{1714}` +
  String.raw`\u{1732}-\u{1734}\u{1752}-\u{1753}\u{1772}-\u{1773}\u{17b4}-\u{17b5}\u{17b7}-\u{17bd}\u{17c6}` +
  String.raw`\u{17c9}-\u{17d3}\u{17dd}\u{180b}-\u{180d}\u{18a9}\u{1920}-\u{1922}\u{1927}-\u{1928}\u{1932}` +
  String.raw`\u{1939}-\u{193b}\u{1a17}-\u{1a18}\u{1a1b}\u{1a56}\u{1a58}-\u{1a5e}\u{1a60}\u{1a62}\u{1a65}-\u{1a6c}` +
  String.raw`\u{1a73}-\u{1a7c}\u{1a7f}\u{1ab0}-\u{1abd}\u{1b00}-\u{1b03}\u{1b34}\u{1b36}-\u{1b3a}\u{1b3c}\u{1b42}` +
  String.raw`\u{1b6b}-\u{1b73}\u{1b80}-\u{1b81}\u{1ba2}-\u{1ba5}\u{1ba8}-\u{1ba9}\u{1bab}-\u{1bad}\u{1be6}` +
  String.raw`\u{1be8}-\u{1be9}\u{1bed}\u{1bef}-\u{1bf1}\u{1c2c}-\u{1c33}\u{1c36}-\u{1c37}\u{1cd0}-\u{1cd2}` +
  String.raw`\u{1cd4}-\u{1ce0}\u{1ce2}-\u{1ce8}\u{1ced}\u{1cf4}\u{1cf8}-\u{1cf9}\u{1dc0}-\u{1df5}` +
  String.raw`\u{1dfc}-\u{1dff}\u{20d0}-\u{20dc}\u{20e1}\u{20e5}-\u{20f0}\u{2cef}-\u{2cf1}\u{2d7f}` +
  String.raw`\u{2de0}-\u{2dff}\u{302a}-\u{302d}\u{3099}-\u{309a}\u{a66f}\u{a674}-\u{a67d}\u{a69e}-\u{a69f}` +
  String.raw`\u{a6f0}-\u{a6f1}\u{a802}\u{a806}\u{a80b}\u{a825}-\u{a826}\u{a8c4}\u{a8e0}-\u{a8f1}\u{a926}-\u{a92d}` +
  String.raw`\u{a947}-\u{a951}\u{a980}-\u{a982}\u{a9b3}\u{a9b6}-\u{a9b9}\u{a9bc}\u{a9e5}\u{aa29}-\u{aa2e}` +
  String.raw`\u{aa31}-\u{aa32}\u{aa35}-\u{aa36}\u{aa43}\u{aa4c}\u{aa7c}\u{aab0}\u{aab2}-\u{aab4}\u{aab7}-\u{aab8}` +
  String.raw`\u{aabe}-\u{aabf}\u{aac1}\u{aaec}-\u{aaed}\u{aaf6}\u{abe5}\u{abe8}\u{abed}\u{fb1e}\u{fe00}-\u{fe0f}` +
  String.raw`\u{fe20}-\u{fe2f}\u{101fd}\u{102e0}\u{10376}-\u{1037a}\u{10a01}-\u{10a03}\u{10a05}-\u{10a06}` +
  String.raw`\u{10a0c}-\u{10a0f}\u{10a38}-\u{10a3a}\u{10a3f}\u{10ae5}-\u{10ae6}\u{11001}\u{11038}-\u{11046}` +
  String.raw`\u{1107f}-\u{11081}\u{110b3}-\u{110b6}\u{110b9}-\u{110ba}\u{11100}-\u{11102}\u{11127}-\u{1112b}` +
  String.raw`\u{1112d}\u{11130}-\u{11134}\u{11173}\u{11180}-\u{11181}\u{111b6}-\u{111be}\u{111ca}-\u{111cc}` +
  String.raw`\u{1122f}-\u{11231}\u{11234}\u{11236}-\u{11237}\u{112df}\u{112e3}-\u{112ea}\u{11300}-\u{11301}` +
  String.raw`\u{1133c}\u{11340}\u{11366}-\u{1136c}\u{11370}-\u{11374}\u{114b3}-\u{114b8}\u{114ba}` +
  String.raw`\u{114bf}-\u{114c0}\u{114c2}-\u{114c3}\u{115b2}-\u{115b5}\u{115bc}-\u{115bd}\u{115bf}-\u{115c0}` +
  String.raw`\u{115dc}-\u{115dd}\u{11633}-\u{1163a}\u{1163d}\u{1163f}-\u{11640}\u{116ab}\u{116ad}` +
  String.raw`\u{116b0}-\u{116b5}\u{116b7}\u{1171d}-\u{1171f}\u{11722}-\u{11725}\u{11727}-\u{1172b}` +
  String.raw`\u{16af0}-\u{16af4}\u{16b30}-\u{16b36}\u{16f8f}-\u{16f92}\u{1bc9d}-\u{1bc9e}\u{1d167}-\u{1d169}` +
  String.raw`\u{1d17b}-\u{1d182}\u{1d185}-\u{1d18b}\u{1d1aa}-\u{1d1ad}\u{1d242}-\u{1d244}\u{1da00}-\u{1da36}` +
  String.raw`\u{1da3b}-\u{1da6c}\u{1da75}\u{1da84}\u{1da9b}-\u{1da9f}\u{1daa1}-\u{1daaf}\u{1e8d0}-\u{1e8d6}` +
  String.raw`\u{e0100}-\u{e01ef}`

/** Characters that NFD changes: those with a decomposition, and marks that it reorders. */
export const decomposed: string =
  String.raw`\u{c0}-\u{c5}\u{c7}-\u{cf}\u{d1}-\u{d6}\u{d9}-\u{dd}\u{e0}-\u{e5}\u{e7}-\u{ef}\u{f1}-\u{f6}` +
  String.raw`\u{f9}-\u{fd}\u{ff}-\u{10f}\u{112}-\u{125}\u{128}-\u{130}\u{134}-\u{137}\u{139}-\u{13e}` +
  String.raw`\u{143}-\u{148}\u{14c}-\u{151}\u{154}-\u{165}\u{168}-\u{17e}\u{1a0}-\u{1a1}\u{1af}-\u{1b0}` +
  String.raw`\u{1cd}-\u{1dc}\u{1de}-\u{1e3}\u{1e6}-\u{1f0}\u{1f4}-\u{1f5}\u{1f8}-\u{21b}\u{21e}-\u{21f}` +
  String.raw`\u{226}-\u{233}\u{300}-\u{34e}\u{350}-\u{36f}\u{374}\u{37e}\u{385}-\u{38a}\u{38c}\u{38e}-\u{390}` +
  String.raw`\u{3aa}-\u{3b0}\u{3ca}-\u{3ce}\u{3d3}-\u{3d4}\u{400}-\u{401}\u{403}\u{407}\u{40c}-\u{40e}\u{419}` +
  String.raw`\u{439}\u{450}-\u{451}\u{453}\u{457}\u{45c}-\u{45e}\u{476}-\u{477}\u{483}-\u{487}\u{4c1}-\u{4c2}` +
  String.raw`\u{4d0}-\u{4d3}\u{4d6}-\u{4d7}\u{4da}-\u{4df}\u{4e2}-\u{4e7}\u{4ea}-\u{4f5}\u{4f8}-\u{4f9}` +
  String.raw`\u{591}-\u{5bd}\u{5bf}\u{5c1}-\u{5c2}\u{5c4}-\u{5c5}\u{5c7}\u{610}-\u{61a}\u{622}-\u{626}` +
  String.raw`\u{64b}-\u{65f}\u{670}\u{6c0}\u{6c2}\u{6d3}\u{6d6}-\u{6dc}\u{6df}-\u{6e4}\u{6e7}-\u{6e8}` +
  String.raw`\u{6ea}-\u{6ed}\u{711}\u{730}-\u{74a}\u{7eb}-\u{7f3}\u{816}-\u{819}\u{81b}-\u{823}\u{825}-\u{827}` +
  String.raw`\u{829}-\u{82d}\u{859}-\u{85b}\u{8d4}-\u{8e1}\u{8e3}-\u{8ff}\u{929}\u{931}\u{934}\u{93c}\u{94d}` +
  String.raw`\u{951}-\u{954}\u{958}-\u{95f}\u{9bc}\u{9cb}-\u{9cd}\u{9dc}-\u{9dd}\u{9df}\u{a33}\u{a36}\u{a3c}` +
  String.raw`\u{a4d}\u{a59}-\u{a5b}\u{a5e}\u{abc}\u{acd}\u{b3c}\u{b48}\u{b4b}-\u{b4d}\u{b5c}-\u{b5d}\u{b94}` +
  String.raw`\u{bca}-\u{bcd}\u{c48}\u{c4d}\u{c55}-\u{c56}\u{cbc}\u{cc0}\u{cc7}-\u{cc8}\u{cca}-\u{ccb}\u{ccd}` +
  String.raw`\u{d4a}-\u{d4d}\u{dca}\u{dda}\u{ddc}-\u{dde}\u{e38}-\u{e3a}\u{e48}-\u{e4b}\u{eb8}-\u{eb9}` +
  String.raw`\u{ec8}-\u{ecb}\u{f18}-\u{f19}\u{f35}\u{f37}\u{f39}\u{f43}\u{f4d}\u{f52}\u{f57}\u{f5c}\u{f69}` +
  String.raw`\u{f71}-\u{f76}\u{f78}\u{f7a}-\u{f7d}\u{f80}-\u{f84}\u{f86}-\u{f87}\u{f93}\u{f9d}\u{fa2}\u{fa7}` +
  String.raw`\u{fac}\u{fb9}\u{fc6}\u{1026}\u{1037}\u{1039}-\u{103a}\u{108d}\u{135d}-\u{135f}\u{1714}\u{1734}` +
  String.raw`\u{17d2}\u{17dd}\u{18a9}\u{1939}-\u{193b}\u{1a17}-\u{1a18}\u{1a60}\u{1a75}-\u{1a7c}\u{1a7f}` +
  String.raw`\u{1ab0}-\u{1abd}\u{1b06}\u{1b08}\u{1b0a}\u{1b0c}\u{1b0e}\u{1b12}\u{1b34}\u{1b3b}\u{1b3d}` +
  String.raw`\u{1b40}-\u{1b41}\u{1b43}-\u{1b44}\u{1b6b}-\u{1b73}\u{1baa}-\u{1bab}\u{1be6}\u{1bf2}-\u{1bf3}` +
  String.raw`\u{1c37}\u{1cd0}-\u{1cd2}\u{1cd4}-\u{1ce0}\u{1ce2}-\u{1ce8}\u{1ced}\u{1cf4}\u{1cf8}-\u{1cf9}` +
  String.raw`\u{1dc0}-\u{1df5}\u{1dfb}-\u{1e99}\u{1e9b}\u{1ea0}-\u{1ef9}\u{1f00}-\u{1f15}\u{1f18}-\u{1f1d}` +
  String.raw`\u{1f20}-\u{1f45}\u{1f48}-\u{1f4d}\u{1f50}-\u{1f57}\u{1f59}\u{1f5b}\u{1f5d}\u{1f5f}-\u{1f7d}` +
  String.raw`\u{1f80}-\u{1fb4}\u{1fb6}-\u{1fbc}\u{1fbe}\u{1fc1}-\u{1fc4}\u{1fc6}-\u{1fd3}\u{1fd6}-\u{1fdb}` +
  String.raw`\u{1fdd}-\u{1fef}\u{1ff2}-\u{1ff4}\u{1ff6}-\u{1ffd}\u{2000}-\u{2001}\u{20d0}-\u{20dc}\u{20e1}` +
  String.raw`\u{20e5}-\u{20f0}\u{2126}\u{212a}-\u{212b}\u{219a}-\u{219b}\u{21ae}\u{21cd}-\u{21cf}\u{2204}\u{2209}` +
  String.raw`\u{220c}\u{2224}\u{2226}\u{2241}\u{2244}\u{2247}\u{2249}\u{2260}\u{2262}\u{226d}-\u{2271}` +
  String.raw`\u{2274}-\u{2275}\u{2278}-\u{2279}\u{2280}-\u{2281}\u{2284}-\u{2285}\u{2288}-\u{2289}` +
  String.raw`\u{22ac}-\u{22af}\u{22e0}-\u{22e3}\u{22ea}-\u{22ed}\u{2329}-\u{232a}\u{2adc}\u{2cef}-\u{2cf1}` +
  String.raw`\u{2d7f}\u{2de0}-\u{2dff}\u{302a}-\u{302f}\u{304c}\u{304e}\u{3050}\u{3052}\u{3054}\u{3056}\u{3058}` +
  String.raw`\u{305a}\u{305c}\u{305e}\u{3060}\u{3062}\u{3065}\u{3067}\u{3069}\u{3070}-\u{3071}\u{3073}-\u{3074}` +
  String.raw`\u{3076}-\u{3077}\u{3079}-\u{307a}\u{307c}-\u{307d}\u{3094}\u{3099}-\u{309a}\u{309e}\u{30ac}\u{30ae}` +
  String.raw`\u{30b0}\u{30b2}\u{30b4}\u{30b6}\u{30b8}\u{30ba}\u{30bc}\u{30be}\u{30c0}\u{30c2}\u{30c5}\u{30c7}` +
  String.raw`\u{30c9}\u{30d0}-\u{30d1}\u{30d3}-\u{30d4}\u{30d6}-\u{30d7}\u{30d9}-\u{30da}\u{30dc}-\u{30dd}` +
  String.raw`\u{30f4}\u{30f7}-\u{30fa}\u{30fe}\u{a66f}\u{a674}-\u{a67d}\u{a69e}-\u{a69f}\u{a6f0}-\u{a6f1}\u{a806}` +
  String.raw`\u{a8c4}\u{a8e0}-\u{a8f1}\u{a92b}-\u{a92d}\u{a953}\u{a9b3}\u{a9c0}\u{aab0}\u{aab2}-\u{aab4}` +
  String.raw`\u{aab7}-\u{aab8}\u{aabe}-\u{aabf}\u{aac1}\u{aaf6}\u{abed}\u{ac00}-\u{d7a3}\u{f900}-\u{fa0d}\u{fa10}` +
  String.raw`\u{fa12}\u{fa15}-\u{fa1e}\u{fa20}\u{fa22}\u{fa25}-\u{fa26}\u{fa2a}-\u{fa6d}\u{fa70}-\u{fad9}` +
  String.raw`\u{fb1d}-\u{fb1f}\u{fb2a}-\u{fb36}\u{fb38}-\u{fb3c}\u{fb3e}\u{fb40}-\u{fb41}\u{fb43}-\u{fb44}` +
  String.raw`\u{fb46}-\u{fb4e}\u{fe20}-\u{fe2f}\u{101fd}\u{102e0}\u{10376}-\u{1037a}\u{10a0d}\u{10a0f}` +
  String.raw`\u{10a38}-\u{10a3a}\u{10a3f}\u{10ae5}-\u{10ae6}\u{11046}\u{1107f}\u{1109a}\u{1109c}\u{110ab}` +
  String.raw`\u{110b9}-\u{110ba}\u{11100}-\u{11102}\u{1112e}-\u{1112f}\u{11133}-\u{11134}\u{11173}\u{111c0}` +
  String.raw`\u{111ca}\u{11235}-\u{11236}\u{112e9}-\u{112ea}\u{1133c}\u{1134b}-\u{1134d}\u{11366}-\u{1136c}` +
  String.raw`\u{11370}-\u{11374}\u{11442}\u{11446}\u{114bb}-\u{114bc}\u{114be}\u{114c2}-\u{114c3}` +
  String.raw`\u{115ba}-\u{115bb}\u{115bf}-\u{115c0}\u{1163f}\u{116b6}-\u{116b7}\u{1172b}\u{11c3f}` +
  String.raw`\u{16af0}-\u{16af4}\u{16b30}-\u{16b36}\u{1bc9e}\u{1d15e}-\u{1d169}\u{1d16d}-\u{1d172}` +
  String.raw`\u{1d17b}-\u{1d182}\u{1d185}-\u{1d18b}\u{1d1aa}-\u{1d1ad}\u{1d1bb}-\u{1d1c0}\u{1d242}-\u{1d244}` +
  String.raw`\u{1e000}-\u{1e006}\u{1e008}-\u{1e018}\u{1e01b}-\u{1e021}\u{1e023}-\u{1e024}\u{1e026}-\u{1e02a}` +
  String.raw`\u{1e8d0}-\u{1e8d6}\u{1e944}-\u{1e94a}\u{2f800}-\u{2fa1d}`

/** Characters that are words by themselves. */
export const punctuation: string =
  String.raw`\u{21}-\u{2f}\u{3a}-\u{40}\u{5b}-\u{60}\u{7b}-\u{7e}\u{a1}\u{a7}\u{ab}\u{b6}-\u{b7}\u{bb}\u{bf}` +
  String.raw`\u{37e}\u{387}\u{55a}-\u{55f}\u{589}-\u{58a}\u{5be}\u{5c0}\u{5c3}\u{5c6}\u{5f3}-\u{5f4}` +
  String.raw`\u{609}-\u{60a}\u{60c}-\u{60d}\u{61b}\u{61e}-\u{61f}\u{66a}-\u{66d}\u{6d4}\u{700}-\u{70d}` +
  String.raw`\u{7f7}-\u{7f9}\u{830}-\u{83e}\u{85e}\u{964}-\u{965}\u{970}\u{af0}\u{df4}\u{e4f}\u{e5a}-\u{e5b}` +
  String.raw`\u{f04}-\u{f12}\u{f14}\u{f3a}-\u{f3d}\u{f85}\u{fd0}-\u{fd4}\u{fd9}-\u{fda}\u{104a}-\u{104f}\u{10fb}` +
  String.raw`\u{1360}-\u{1368}\u{1400}\u{166d}-\u{166e}\u{169b}-\u{169c}\u{16eb}-\u{16ed}\u{1735}-\u{1736}` +
  String.raw`\u{17d4}-\u{17d6}\u{17d8}-\u{17da}\u{1800}-\u{180a}\u{1944}-\u{1945}\u{1a1e}-\u{1a1f}` +
  String.raw`\u{1aa0}-\u{1aa6}\u{1aa8}-\u{1aad}\u{1b5a}-\u{1b60}\u{1bfc}-\u{1bff}\u{1c3b}-\u{1c3f}` +
  String.raw`\u{1c7e}-\u{1c7f}\u{1cc0}-\u{1cc7}\u{1cd3}\u{2010}-\u{2027}\u{2030}-\u{2043}\u{2045}-\u{2051}` +
  String.raw`\u{2053}-\u{205e}\u{207d}-\u{207e}\u{208d}-\u{208e}\u{2308}-\u{230b}\u{2329}-\u{232a}` +
  String.raw`\u{2768}-\u{2775}\u{27c5}-\u{27c6}\u{27e6}-\u{27ef}\u{2983}-\u{2998}\u{29d8}-\u{29db}` +
  String.raw`\u{29fc}-\u{29fd}\u{2cf9}-\u{2cfc}\u{2cfe}-\u{2cff}\u{2d70}\u{2e00}-\u{2e2e}\u{2e30}-\u{2e42}` +
  String.raw`\u{3001}-\u{3003}\u{3008}-\u{3011}\u{3014}-\u{301f}\u{3030}\u{303d}\u{30a0}\u{30fb}\u{a4fe}-\u{a4ff}` +
  String.raw`\u{a60d}-\u{a60f}\u{a673}\u{a67e}\u{a6f2}-\u{a6f7}\u{a874}-\u{a877}\u{a8ce}-\u{a8cf}` +
  String.raw`\u{a8f8}-\u{a8fa}\u{a8fc}\u{a92e}-\u{a92f}\u{a95f}\u{a9c1}-\u{a9cd}\u{a9de}-\u{a9df}` +
  String.raw`\u{aa5c}-\u{aa5f}\u{aade}-\u{aadf}\u{aaf0}-\u{aaf1}\u{abeb}\u{fd3e}-\u{fd3f}\u{fe10}-\u{fe19}` +
  String.raw`\u{fe30}-\u{fe52}\u{fe54}-\u{fe61}\u{fe63}\u{fe68}\u{fe6a}-\u{fe6b}\u{ff01}-\u{ff03}` +
  String.raw`\u{ff05}-\u{ff0a}\u{ff0c}-\u{ff0f}\u{ff1a}-\u{ff1b}\u{ff1f}-\u{ff20}\u{ff3b}-\u{ff3d}\u{ff3f}` +
  String.raw`\u{ff5b}\u{ff5d}\u{ff5f}-\u{ff65}\u{10100}-\u{10102}\u{1039f}\u{103d0}\u{1056f}\u{10857}\u{1091f}` +
  String.raw`\u{1093f}\u{10a50}-\u{10a58}\u{10a7f}\u{10af0}-\u{10af6}\u{10b39}-\u{10b3f}\u{10b99}-\u{10b9c}` +
  String.raw`\u{11047}-\u{1104d}\u{110bb}-\u{110bc}\u{110be}-\u{110c1}\u{11140}-\u{11143}\u{11174}-\u{11175}` +
  String.raw`\u{111c5}-\u{111c9}\u{111cd}\u{111db}\u{111dd}-\u{111df}\u{11238}-\u{1123d}\u{112a9}\u{114c6}` +
  String.raw`\u{115c1}-\u{115d7}\u{11641}-\u{11643}\u{1173c}-\u{1173e}\u{12470}-\u{12474}\u{16a6e}-\u{16a6f}` +
  String.raw`\u{16af5}\u{16b37}-\u{16b3b}\u{16b44}\u{1bc9f}\u{1da87}-\u{1da8b}`

/** Characters that separate words. */
export const separators: string = String.raw`\u{9}-\u{d}\u{20}\u{85}\u{a0}\u{1680}\u{2000}-\u{200a}\u{2028}-\u{2029}\u{202f}\u{205f}\u{3000}`
