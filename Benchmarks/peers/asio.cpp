// Boost.Asio with a stackful coroutine for each connection, on one OS thread.  TERM ends it.

#include <algorithm>
#include <boost/asio.hpp>
#include <boost/asio/spawn.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <unistd.h>

namespace asio = boost::asio;
using asio::ip::tcp;

static void uppercase(unsigned char *text, std::size_t count) {
    std::transform(text, text + count, text, [](unsigned char byte) -> unsigned char {
        return byte ^ (static_cast<unsigned char>(byte - 'a') < 26 ? 0x20 : 0);
    });
}

static void serve(tcp::socket &socket, std::size_t size, asio::yield_context yield) {
    std::unique_ptr<unsigned char[]> buffer(new unsigned char[size]);  // not zeroed: only what is used is touched
    boost::system::error_code error;
    while (true) {
        std::size_t count = socket.async_read_some(asio::buffer(buffer.get(), size), yield[error]);
        if (error) return;
        uppercase(buffer.get(), count);
        asio::async_write(socket, asio::buffer(buffer.get(), count), yield[error]);
        if (error) return;
    }
}

static void accept_all(asio::io_context &context, tcp::acceptor &acceptor, std::size_t size, asio::yield_context yield) {
    while (true) {
        boost::system::error_code error;
        auto socket = std::make_shared<tcp::socket>(context);
        acceptor.async_accept(*socket, yield[error]);
        if (error) continue;
        socket->set_option(tcp::no_delay(true), error);
        asio::spawn(context, [socket, size](asio::yield_context yield) { serve(*socket, size, yield); });
    }
}

int main(int count, char **arguments) {
    std::size_t size = count == 3 && std::string(arguments[1]) == "--buffer" ? std::atol(arguments[2]) : 16384;
    asio::io_context context(1);
    tcp::acceptor acceptor(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    std::cerr << "listening on 127.0.0.1:" << acceptor.local_endpoint().port() << " model=asio pid=" << getpid() << std::endl;
    asio::spawn(context, [&](asio::yield_context yield) { accept_all(context, acceptor, size, yield); });
    context.run();
}
