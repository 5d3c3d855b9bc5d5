#include "cuda/ptx.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <vector>

#include "cuda/fake_cuda.h"

namespace fakes {
namespace {

struct Type {
  char kind = 'b';  // u, s, b, f; p for predicates
  int bits = 64;
};

struct Operand {
  int slot = -1;            // of a register; -1 for an immediate
  std::uint64_t value = 0;  // the immediate, or the offset that an address adds to its register
};

struct Machine;
struct Instruction {
  std::string name;
  std::vector<std::string> parts;  // of the name, e.g. "mul", "wide", "s32"
  Type type;
  int guard = -1;
  bool guard_is_negated = false;
  std::vector<Operand> operands;
  std::string label;
  std::size_t target = 0;
  void (*run)(Machine&, const Instruction&) = nullptr;
};

struct Machine {
  std::vector<std::uint64_t> slots;
  std::size_t next = 0;
};

Type TypeOf(std::string_view text) {
  if (text == "pred") return {'p', 1};
  Type type{text[0], 0};
  std::from_chars(text.data() + 1, text.data() + text.size(), type.bits);
  return type;
}

// Extends a value of this type to 64 bits.
std::uint64_t Extend(std::uint64_t value, Type type) {
  if (type.bits == 64) return value;
  const std::uint64_t mask = (std::uint64_t{1} << type.bits) - 1;
  value &= mask;
  const bool negative = type.kind == 's' && (value >> (type.bits - 1)) != 0;
  return negative ? value | ~mask : value;
}

std::uint64_t Read(const Machine& machine, const Operand& operand) {
  return operand.slot < 0 ? operand.value : machine.slots[operand.slot] + operand.value;
}

std::uint64_t In(const Machine& machine, const Instruction& i, std::size_t operand) {
  return Extend(Read(machine, i.operands[operand]), i.type);
}

void Write(Machine& machine, const Instruction& i, std::uint64_t value, Type type) {
  machine.slots[i.operands[0].slot] = Extend(value, {'u', type.bits});
}

float AsFloat(std::uint64_t value) { return std::bit_cast<float>(static_cast<std::uint32_t>(value)); }

bool Compare(const std::string& how, std::uint64_t a, std::uint64_t b, bool is_signed) {
  const bool less = is_signed ? static_cast<std::int64_t>(a) < static_cast<std::int64_t>(b) : a < b;
  if (how == "eq") return a == b;
  if (how == "ne") return a != b;
  if (how == "lt") return less;
  if (how == "ge") return !less;
  if (how == "le") return less || a == b;
  return !less && a != b;  // gt
}

template <typename Operator>
void Binary(Machine& machine, const Instruction& i) {
  Write(machine, i, Operator()(In(machine, i, 1), In(machine, i, 2)), i.type);
}

void Multiply(Machine& machine, const Instruction& i) {
  const std::uint64_t product = In(machine, i, 1) * In(machine, i, 2);
  Write(machine, i, product, i.parts[1] == "wide" ? Type{i.type.kind, 2 * i.type.bits} : i.type);
}

void MultiplyAdd(Machine& machine, const Instruction& i) {
  Write(machine, i, In(machine, i, 1) * In(machine, i, 2) + In(machine, i, 3), i.type);
}

void Choose(Machine& machine, const Instruction& i) {
  const bool less = Compare("lt", In(machine, i, 1), In(machine, i, 2), i.type.kind == 's');
  Write(machine, i, In(machine, i, less == (i.parts[0] == "min") ? 1 : 2), i.type);
}

void Shift(Machine& machine, const Instruction& i) {
  const std::uint64_t value = In(machine, i, 1);
  const auto count = std::min<std::uint64_t>(Extend(Read(machine, i.operands[2]), {'u', 32}), 63);
  if (i.parts[0] == "shl") return Write(machine, i, value << count, i.type);
  const bool is_signed = i.type.kind == 's';
  Write(machine, i,
        is_signed ? static_cast<std::uint64_t>(static_cast<std::int64_t>(value) >> count) : value >> count,
        i.type);
}

void Convert(Machine& machine, const Instruction& i) {
  const std::uint64_t value = In(machine, i, 1);
  const Type to = TypeOf(i.parts[i.parts.size() - 2]);
  if (to.kind != 'f') return Write(machine, i, value, to);
  Write(machine, i, std::bit_cast<std::uint32_t>(static_cast<float>(value)), to);
}

// `ld.v2 {a, b}, [c]` has the operands a, b, c.
void Load(Machine& machine, const Instruction& i) {
  const auto* from = reinterpret_cast<const std::byte*>(Read(machine, i.operands.back()));
  const std::size_t bytes = i.type.bits / 8;
  for (std::size_t k = 0; k + 1 < i.operands.size(); ++k) {
    std::uint64_t value = 0;
    std::memcpy(&value, from + bytes * k, bytes);
    machine.slots[i.operands[k].slot] = Extend(value, i.type);
  }
}

void Store(Machine& machine, const Instruction& i) {
  const std::uint64_t value = Read(machine, i.operands[1]);
  std::memcpy(reinterpret_cast<void*>(Read(machine, i.operands[0])), &value, i.type.bits / 8);
}

const std::map<std::string, void (*)(Machine&, const Instruction&), std::less<>>& Table() {
  static const std::map<std::string, void (*)(Machine&, const Instruction&), std::less<>> table = {
      {"add", Binary<std::plus<>>},
      {"sub", Binary<std::minus<>>},
      {"and", Binary<std::bit_and<>>},
      {"or", Binary<std::bit_or<>>},
      {"xor", Binary<std::bit_xor<>>},
      {"not", [](Machine& m, const Instruction& i) { Write(m, i, ~In(m, i, 1), i.type); }},
      {"mul", Multiply},
      {"mad", MultiplyAdd},
      {"min", Choose},
      {"max", Choose},
      {"shl", Shift},
      {"shr", Shift},
      {"setp",
       [](Machine& m, const Instruction& i) {
         Write(m, i, Compare(i.parts[1], In(m, i, 1), In(m, i, 2), i.type.kind == 's'), {'p', 1});
       }},
      {"selp",
       [](Machine& m, const Instruction& i) {
         Write(m, i, In(m, i, Read(m, i.operands[3]) != 0 ? 1 : 2), i.type);
       }},
      {"div",
       [](Machine& m, const Instruction& i) {
         Write(m, i, std::bit_cast<std::uint32_t>(AsFloat(In(m, i, 1)) / AsFloat(In(m, i, 2))), i.type);
       }},
      {"mov", [](Machine& m, const Instruction& i) { Write(m, i, In(m, i, 1), i.type); }},
      {"cvta", [](Machine& m, const Instruction& i) { Write(m, i, In(m, i, 1), i.type); }},
      {"cvt", Convert},
      {"ld", Load},
      {"st", Store},
      {"bra", [](Machine& m, const Instruction& i) { m.next = i.target; }},
      {"ret", [](Machine& m, const Instruction&) { m.next = SIZE_MAX; }},
  };
  return table;
}

// The first slots hold the special registers and the address of the parameters.
constexpr std::array kSpecial = {"%tid.x",   "%tid.y",   "%tid.z",   "%ntid.x",   "%ntid.y",   "%ntid.z",
                                 "%ctaid.x", "%ctaid.y", "%ctaid.z", "%nctaid.x", "%nctaid.y", "%nctaid.z"};
constexpr int kParameters = kSpecial.size();

class Program {
 public:
  Program(std::string_view ptx, std::string_view entry) {
    for (const char* name : kSpecial) slots_.try_emplace(name, static_cast<int>(slots_.size()));
    slots_.try_emplace(std::string(entry) + "_param_0", kParameters);
    std::size_t at = ptx.find(".entry " + std::string(entry) + "(");
    at = ptx.find("\n{", at) + 2;
    std::string_view body = ptx.substr(at, ptx.find("\n}", at) - at);
    std::string statement;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body.substr(i, 2) == "//") i = std::min(body.find('\n', i), body.size() - 1);
      if (body[i] == ';' || body[i] == ':') {
        body[i] == ':' ? void(labels_.try_emplace(statement, code_.size())) : Add(statement);
        statement.clear();
      } else if (!std::isspace(static_cast<unsigned char>(body[i])) || !statement.empty()) {
        statement += body[i] == '\t' ? ' ' : body[i];
      }
    }
    for (Instruction& i : code_)
      if (!i.label.empty()) i.target = labels_.at(i.label);
  }

  void Run(const std::array<std::uint64_t, kParameters + 1>& first) const {
    Machine machine;
    machine.slots.resize(slots_.size());
    std::copy(first.begin(), first.end(), machine.slots.begin());
    while (machine.next < code_.size()) {
      const Instruction& i = code_[machine.next++];
      if (i.guard >= 0 && (machine.slots[i.guard] != 0) == i.guard_is_negated) continue;
      i.run(machine, i);
    }
  }

 private:
  void Add(std::string statement) {
    if (statement.starts_with('.')) return;  // a declaration of registers
    Instruction i;
    if (statement.starts_with('@')) {
      const std::size_t end = statement.find(' ');
      i.guard_is_negated = statement[1] == '!';
      i.guard = SlotOf(statement.substr(i.guard_is_negated ? 2 : 1, end - (i.guard_is_negated ? 2 : 1)));
      statement.erase(0, end + 1);
    }
    const std::size_t end = std::min(statement.find(' '), statement.size());
    i.name = statement.substr(0, end);
    for (std::size_t at = 0; at < i.name.size();) {
      const std::size_t dot = std::min(i.name.find('.', at), i.name.size());
      i.parts.push_back(i.name.substr(at, dot - at));
      at = dot + 1;
    }
    const auto known = Table().find(i.parts[0]);
    if (known == Table().end()) return Misuse("the interpreter does not know " + i.name);
    i.run = known->second;
    if (i.parts[0] != "bra" && i.parts.size() > 1) i.type = TypeOf(i.parts.back());
    std::string word;
    for (const char letter : statement.substr(end) + ",") {
      if (letter != ',') {
        if (std::string_view(" {}[]").find(letter) == std::string_view::npos) word += letter;
        continue;
      }
      if (i.parts[0] == "bra") {
        i.label = word;
      } else if (!word.empty()) {
        i.operands.push_back(OperandOf(word));
      }
      word.clear();
    }
    code_.push_back(std::move(i));
  }

  int SlotOf(const std::string& name) {
    return slots_.try_emplace(name, static_cast<int>(slots_.size())).first->second;
  }

  // A number, or a register or parameter with an optional "+<number>".
  Operand OperandOf(const std::string& text) {
    if (text.starts_with("0f")) return {-1, std::stoull(text.substr(2), nullptr, 16)};
    if (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-')
      return {-1, static_cast<std::uint64_t>(std::stoll(text))};
    const std::size_t plus = text.find('+');
    const auto more = plus == std::string::npos ? 0 : std::stoll(text.substr(plus + 1));
    return {SlotOf(text.substr(0, plus)), static_cast<std::uint64_t>(more)};
  }

  std::map<std::string, int, std::less<>> slots_;
  std::map<std::string, std::size_t, std::less<>> labels_;
  std::vector<Instruction> code_;
};

}  // namespace

void Interpret(std::string_view ptx, std::string_view entry, const Dims& grid, const Dims& block,
               const void* parameters) {
  const Program program(ptx, entry);
  std::array<std::uint64_t, kParameters + 1> first{};
  std::copy(block.begin(), block.end(), first.begin() + 3);
  std::copy(grid.begin(), grid.end(), first.begin() + 9);
  first[kParameters] = reinterpret_cast<std::uint64_t>(parameters);
  const auto for_each = [&](const Dims& end, std::size_t at, auto visit) {
    for (first[at + 2] = 0; first[at + 2] < end[2]; ++first[at + 2])
      for (first[at + 1] = 0; first[at + 1] < end[1]; ++first[at + 1])
        for (first[at] = 0; first[at] < end[0]; ++first[at]) visit();
  };
  for_each(grid, 6, [&] { for_each(block, 0, [&] { program.Run(first); }); });
}

}  // namespace fakes
