// SPDX-License-Identifier: MIT
// Containers in several threads; what it prints depends on nothing but this file.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace
{

struct tree {
    int key;
    std::unique_ptr<tree> left;
    std::unique_ptr<tree> right;
};

std::uint64_t hash_text(const std::string &text)
{
    std::uint64_t hash = 14695981039346656037U;
    for (unsigned char c : text)
        hash = (hash ^ c) * 1099511628211U;
    return hash;
}

void insert(std::unique_ptr<tree> &root, int key)
{
    std::unique_ptr<tree> *at = &root;
    while (*at)
        at = key < (*at)->key ? &(*at)->left : &(*at)->right;
    *at = std::make_unique<tree>();
    (*at)->key = key;
}

int depth(const std::unique_ptr<tree> &root)
{
    return root ? 1 + std::max(depth(root->left), depth(root->right)) : 0;
}

std::uint64_t work(int number)
{
    std::map<std::string, std::vector<std::string>> map;
    std::unordered_map<std::string, std::list<int>> table;
    std::unique_ptr<tree> root;
    unsigned state = static_cast<unsigned>(number) * 2654435761U + 1;
    for (int i = 0; i < 20000; i++) {
        state = state * 1664525U + 1013904223U;
        std::string key = "key " + std::to_string(state >> 18);
        map[key].push_back(key + std::string(state >> 25, 'x'));
        table[key].push_back(i);
        insert(root, static_cast<int>(state >> 8));
        if (i % 5 == 0)
            map.erase(map.begin());
    }
    std::ostringstream stream;
    for (const auto &entry : map)
        stream << entry.first << entry.second.size() << entry.second.front();
    stream << table.size() << ' ' << depth(root);
    return hash_text(stream.str());
}

std::uint64_t throw_and_catch()
{
    std::uint64_t sum = 0;
    for (int i = 0; i < 2000; i++) {
        try {
            throw std::runtime_error(std::string(static_cast<std::size_t>(i % 300), 'e'));
        } catch (const std::exception &error) {
            sum += std::string(error.what()).size();
        }
    }
    return sum;
}

// One thread makes what the other destroys.
std::size_t pass_on()
{
    std::mutex mutex;
    std::deque<std::unique_ptr<std::string>> queue;
    constexpr std::size_t n_messages = 50000;
    std::thread producer([&] {
        for (std::size_t i = 0; i < n_messages; i++) {
            auto message = std::make_unique<std::string>(i % 500, 'm');
            std::lock_guard<std::mutex> guard(mutex);
            queue.push_back(std::move(message));
        }
    });
    std::size_t bytes = 0;
    for (std::size_t received = 0; received < n_messages;) {
        std::deque<std::unique_ptr<std::string>> taken;
        {
            std::lock_guard<std::mutex> guard(mutex);
            taken.swap(queue);
        }
        received += taken.size();
        for (const auto &message : taken)
            bytes += message->size();
        if (taken.empty())
            std::this_thread::yield();
    }
    producer.join();
    return bytes;
}

} // namespace

int main()
{
    std::vector<std::future<std::uint64_t>> results;
    for (int number = 0; number < 6; number++)
        results.push_back(std::async(std::launch::async, work, number));
    for (auto &result : results)
        std::printf("%llx\n", static_cast<unsigned long long>(result.get()));
    std::printf("%llu\n", static_cast<unsigned long long>(throw_and_catch()));
    std::printf("%zu\n", pass_on());
    std::multiset<std::string> sorted;
    for (int i = 0; i < 30000; i++)
        sorted.insert(std::to_string(i * 7919 % 30011));
    std::printf("%s %s\n", sorted.begin()->c_str(), sorted.rbegin()->c_str());
    return 0;
}
